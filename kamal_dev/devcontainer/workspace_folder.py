"""The location of the source, on this machine and in the container, and its mount."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kamal_dev.values import dataclass


@dataclass(frozen=True)
class DevcontainerPaths:
    """Hold the file, the folder that it belongs to, and the top of the repository; all absolute."""

    path: Path
    root: Path
    repository: Path

    def local(self, path: str) -> str:
        """Return a path relative to the compose file next to the devcontainer.json.

        `path` is absolute or relative to `root`, where `docker run` would run. A path outside the repository is not
        changed.
        """
        absolute = posixpath.normpath(self.root / path)
        if path.startswith("~") or posixpath.relpath(absolute, self.repository).split("/")[0] == "..":
            return path
        relative = posixpath.relpath(absolute, self.path.parent)
        return relative if relative.startswith(".") else f"./{relative}"

    def option(self, option: str) -> str:
        """Return a security option; the path of its seccomp profile, if any, is converted by `local`."""
        profile = seccomp_profile(option)
        return f"seccomp={self.local(profile)}" if profile else option


def seccomp_profile(option: str) -> str:
    """Return the file that a security option names; empty if it names none.

    Source: docker/cli, `parseSecurityOpts`; both `seccomp=FILE` and `seccomp:FILE` are valid.
    """
    name, _, value = option.partition("=" if "=" in option else ":")
    return value if name == "seccomp" and value not in ("unconfined", "builtin") else ""


def container_folder(raw: Mapping[str, Any], root: Path, repository: Path) -> str:
    """Return the folder that commands start in, without replacing variables.

    With a compose file, the default is `/`; otherwise the whole repository is mounted under `/workspaces`, and the
    default is the place of `root` in it.
    """
    written = raw.get("workspaceFolder")
    if isinstance(written, str) and written:
        return written
    if "dockerComposeFile" in raw:
        return "/"
    return posixpath.normpath(posixpath.join(_target(repository), posixpath.relpath(root, repository)))


def default_mount(repository: Path) -> str:
    """Return the bind of the repository, in the form of `docker run --mount`."""
    return f"type=bind,{_field('source', str(repository))},{_field('target', _target(repository))}"


def _target(repository: Path) -> str:
    return posixpath.join("/workspaces", repository.name)


def _field(key: str, value: str) -> str:
    return f'"{key}={value}"' if "," in value else f"{key}={value}"
