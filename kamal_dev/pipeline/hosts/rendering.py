"""Render the releases of stacks: the files that hosts receive."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from kamal_dev import compose
from kamal_dev.compose import Additions, Rewritten
from kamal_dev.devcontainer import released
from kamal_dev.model import Image, Release
from kamal_dev.pipeline.run import names
from kamal_dev.project import Project
from kamal_dev.shell.fanout import once

Images = tuple[tuple[str, Image], ...]
Ports = tuple[tuple[str, int], ...]


class RenderedReleases:
    """Render releases with the built images; each is rendered once, however often its host is planned."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._files = once(lambda images: compose.rewritten(project.compose, dict(images)))
        self._releases = once(self._rendered)

    def of(
        self, stack: str, address: str, additions: Additions, images: Images, allotted: Ports = (), peers: str = ""
    ) -> tuple[Release, str]:
        """Return a release and what its containers are made of.

        `images` are those of the built services, `allotted` the ports of the host, `peers` the value of `DEV_PEERS`.
        """
        return self._releases(stack, address, additions, images, allotted, peers)

    def _rendered(
        self, stack: str, address: str, additions: Additions, images: Images, allotted: Ports, peers: str
    ) -> tuple[Release, str]:
        files, ports = self._files(images), dict(allotted)
        release = render_release(
            self._project, stack, additions=additions, address=address, ready=files, allotted=ports, peers=peers
        )
        return release, compose.parts(self._project.compose, files, release)


def render_release(
    project: Project,
    stack: str,
    *,
    additions: Additions | None = None,
    address: str = "",
    mask: bool = False,
    ready: Rewritten | None = None,
    allotted: Mapping[str, int] = MappingProxyType({}),
    peers: str = "",
) -> Release:
    """Render the release of one stack; pure, except that it asks for secrets.

    `additions` are the settings added to the main service (default: the project's own, without those of its image).
    `address` is the host's address, a placeholder if empty. With `mask`, secrets are not asked for and `.env` has the
    mask instead. `ready` are the files that name the built images; without it, images are named by tag. `allotted` are
    ports of the host, by name, `peers` the value of `DEV_PEERS`.
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
        peers=peers,
        notify=project.notify(mask=mask),
        allotted=allotted,
        source=_source(project),
    )


def _source(project: Project) -> dict[str, object]:
    """Return what the manifest of a named stack says of its source; nothing for a numbered one."""
    named = project.source_origin.entries
    return {**named, "devcontainer": released.entry(project.devcontainer)} if named else {}
