"""Render the release of one stack: the files that its host gets."""

from __future__ import annotations

from kamal_dev import compose
from kamal_dev.compose import Additions, Rewritten
from kamal_dev.model import Release
from kamal_dev.pipeline.run import names
from kamal_dev.project import Project


def render_release(
    project: Project,
    stack: str,
    *,
    additions: Additions | None = None,
    address: str = "",
    mask: bool = False,
    ready: Rewritten | None = None,
) -> Release:
    """Render the release of one stack; pure but for the secrets that it asks for.

    `additions` are what the main service gets, the project's own unless its image adds to
    them; `address` is the host's, a placeholder without it. With `mask`, secrets are not
    asked for, and `.env` has a mask in their place. `ready` are the files with the images as
    they were built; without it, they are named by their tags.
    """
    return compose.render(
        project.compose,
        stack=stack,
        version=project.version,
        images=ready.images if ready else project.images(),
        additions=additions or project.additions,
        variables=project.variables(mask=mask),
        mask=mask,
        ready=ready or project.rewritten,
        index=names.index(project, stack),
        address=address,
    )
