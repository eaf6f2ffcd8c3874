"""Notices about the project as a whole, which no single file can give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kamal_dev import compose
from kamal_dev.model import Location, Notice

if TYPE_CHECKING:
    from kamal_dev.project.project import Project


def of_project(project: Project) -> Iterator[Notice]:
    """Yield the notices of the whole project; notices about single files are stored with the files."""
    yield from _powers(project)
    yield from _not_sent(project)
    yield from _not_hidden(project)
    files = project.compose
    yield from compose.not_taken(project.environment, files.reader, files.model, files.travels)


def _powers(project: Project) -> Iterator[Notice]:
    """Warn about privileges that devcontainer.json gives to anyone in the container, and about the names it uses."""
    configuration = project.devcontainer
    for name in (name for name, _ in configuration.container_env if name in compose.NODE_NAMES):
        yield Notice(configuration.where("containerEnv", name), f"`{name}` {compose.CLAIMED}")
    if configuration.privileged and "privileged" in configuration.configuration:
        yield Notice(configuration.where("privileged"), f"`privileged`: {compose.POWER}", is_warning=True)


def _not_sent(project: Project) -> Iterator[Notice]:
    """Warn about mounted folders that are empty on a host, because git ignores everything in them."""
    if project.workspace_source not in ("git", "sync"):
        return
    repository = project.source.repository
    top = f"{repository.name}/"
    named = {bind.folder.removeprefix(top): bind.where for bind in project.binds if bind.folder.startswith(top)}
    folders = {path: where for path, where in named.items() if project.tree.kind(repository / path)}
    sent = project.sent() if folders else ()
    for path, where in folders.items():
        if not any(name.startswith(f"{path}/") for name in sent):
            yield Notice(where, f"`{path}` has only files that git ignores, so it is empty on a host at first")


def _not_hidden(project: Project) -> Iterator[Notice]:
    """Warn about secrets whose value is a name that appears in every line of output, so that it cannot be hidden."""
    names = {*project.compose.names, project.config.service}
    known = project.secrets_file.known((*project.config.secrets, *project.secrets_file.names))
    for name, secret in known.items():
        if secret.reveal() in names:
            message = f"`{name}` has the same value as a name in this project, so it is not masked in output"
            yield Notice(Location(project.secrets_file.path), message, is_warning=True)
