"""The files of a release: compose files, the files sent with them, and the digest. Rewrites none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kamal_dev.compose import env, layout, marks
from kamal_dev.compose.compose_project import ComposeProject
from kamal_dev.compose.travels import RAW, Travel
from kamal_dev.model import REDACTED, File, Secret
from kamal_dev.values import dataclass


def gathered(project: ComposeProject, texts: Mapping[Path, str], carried: tuple[Travel, ...], laid: str) -> list[File]:
    """Return the compose files, the files sent with them, and the overlay `laid`."""
    files = [
        *(File(project.places.of_compose(path), text.encode()) for path, text in texts.items()),
        *_travelling(carried, project),
        File(layout.OVERLAY, laid.encode()),
    ]
    if not any(file.path in layout.SOUGHT for file in files):
        files.append(File(layout.SOUGHT[0], layout.STOP.encode()))
    return files


def masked(files: list[File], carried: tuple[Travel, ...], project: ComposeProject) -> list[File]:
    """Return the files with `[redacted]` for the content of secrets; their digest was taken before."""
    hidden = {_path_of(travel, project) for travel in carried if travel.role == "secret"}
    return [replace(file, content=f"{REDACTED}\n".encode()) if file.path in hidden else file for file in files]


def placed(carried: tuple[Travel, ...], project: ComposeProject) -> list[tuple[str, Travel]]:
    """Return the files to send, with their paths in the release."""
    return [(_path_of(travel, project), travel) for travel in carried]


def _path_of(travel: Travel, project: ComposeProject) -> str:
    places = project.places
    if travel.role == "env":
        return places.of_compose(travel.path)
    return places.converted(travel.path) if travel.role == RAW else places.in_release(travel.path)


def _travelling(carried: tuple[Travel, ...], project: ComposeProject) -> list[File]:
    files: dict[str, File] = {}
    for travel in carried:
        path = _path_of(travel, project)
        mode = max(travel.mode, files[path].mode) if path in files else travel.mode
        files[path] = File(path, travel.content, mode)
    return list(files.values())


def notified(text: str) -> list[File]:
    """Return the file that configures who is notified about alerts, possibly with secrets; none without a text."""
    return [File(layout.NOTIFY, text.encode(), 0o600)] if text else []


@dataclass(frozen=True)
class ReleaseContent:
    """Separate private from public content of a release, for its digest; `swarm` are the files for Swarm."""

    project: ComposeProject
    carried: tuple[Travel, ...]
    values: Mapping[str, str | Secret]
    of_stack: Mapping[str, str]
    notify: str = ""
    swarm: tuple[File, ...] = ()

    def digest(self, files: list[File], stack: str, salt: str) -> str:
        """Return a digest of all files; private content is hashed separately, the same for all stacks."""
        private = {_path_of(travel, self.project) for travel in self.carried}
        parts = [(file.path, file.content) for file in files if file.path in private]
        parts += [(f"${name}", marks.plain(value).encode()) for name, value in self.values.items() if self._hides(name)]
        parts += [(layout.NOTIFY, self.notify.encode())] if self.notify else []
        parts += [(file.path, file.content) for file in self.swarm]
        total = hashlib.sha256(marks.private(salt, [*parts, (layout.ENV, self.project.own_env.encode())]).encode())
        for file in sorted([*files, self._env(stack)], key=lambda file: file.path):
            content = b"" if file.path in private else file.content
            total.update(f"{file.path}\0{file.mode:o}\0{len(content)}\0".encode())
            total.update(content)
        return total.hexdigest()

    def _hides(self, name: str) -> bool:
        return self.values[name] != self.of_stack.get(name)

    def _env(self, stack: str) -> File:
        """Return the `.env` of a stack without its private values."""
        shown = {name: Secret("") if self._hides(name) else value for name, value in self.values.items()}
        return env.file(replace(self.project, own_env=""), stack, shown, mask=True)
