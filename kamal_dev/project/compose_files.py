"""Read the compose files that devcontainer.json names, or generate one for an image or a Dockerfile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kamal_dev import compose, devcontainer
from kamal_dev.compose import ComposeProject
from kamal_dev.devcontainer import Devcontainer
from kamal_dev.errors import DevcontainerError, Problem
from kamal_dev.model import stack_name

if TYPE_CHECKING:
    from kamal_dev.project.project import Project

GENERATED = "compose.yaml"  # next to its devcontainer.json


def read(project: Project, environment: Mapping[str, str], secrets: Mapping[str, str]) -> ComposeProject:
    """Return the compose project with these variables. Raises ComposeError."""
    configuration = project.devcontainer
    common: dict[str, Any] = {
        "tree": project.tree,
        "repository": project.source.repository,
        "root": project.root,
        "environment": environment,
        "secrets": secrets,
        "main": project.main,
        "features": {project.main: project.features} if project.features else None,
        # Values that differ between stacks are taken from the first stack.
        "own": compose.node_values(stack_name(project.config.service, 1, project.config.naming), project.version),
        "allow_outside": project.allow_outside,
        "home_mounts": project.config.home_mounts == "host",
    }
    if configuration.kind != "compose":
        text = devcontainer.as_compose(configuration)
        return compose.load_text(text, path=configuration.path.parent / GENERATED, **common)
    files = devcontainer.compose_files(configuration, tree=project.tree, environment={**environment, **secrets})
    # The version of Compose only matters if there is a .env outside the folder of the compose files.
    is_apart = project.tree.kind(project.root / ".env") == "file" and files[0].parent != project.root
    return compose.load(
        files,
        compose_version=project.compose_version() if is_apart else (),
        places={file: configuration.where("dockerComposeFile", index) for index, file in enumerate(files)},
        run_services=configuration.run_services,
        **common,
    )


def require_services(configuration: Devcontainer, project: ComposeProject) -> None:
    """Reject names of services that no compose file has, at the place where they are written."""
    known = {service.name for service in project.services}
    named = [
        (("service",), configuration.service),
        *((("runServices", i), name) for i, name in enumerate(configuration.run_services)),
    ]
    problems = [
        Problem(where.path, where.line, f"no compose file has a service `{name}`", column=where.column)
        for keys, name in named
        if configuration.kind == "compose" and name not in known
        for where in [configuration.where(*keys)]
    ]
    if problems:
        # A misspelt key may be the reason that a service is missing.
        raise DevcontainerError(
            (*project.problems, *problems),
            hint=f"the services are: {', '.join(f'`{name}`' for name in known)}" if known else "",
        )
