"""Paths: absolute, shown to the user, inside the repository or not. Opens nothing."""

from __future__ import annotations

import posixpath
from pathlib import Path

REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@", "oci://")


def absolute(base: Path, text: str) -> Path:
    """Return the absolute path of `text` relative to `base`, without following links.

    A path under `~` or on a Windows drive is kept, like in Compose.
    """
    if text.startswith("~") or is_windows(text):
        return Path(text)
    return Path(posixpath.normpath(posixpath.join(base.as_posix(), text)))


def is_windows(path: str) -> bool:
    """Return whether a path starts with a Windows drive."""
    return path[1:3] in (":/", ":\\") and path[0].isalpha()


def is_remote(text: str) -> bool:
    """Return whether it is something other than a local path, by Compose's rules."""
    return "://" in text or text.startswith(REMOTE)


def shown(path: Path, repository: Path) -> str:
    """Return the path for messages: relative to the repository if it is inside."""
    inside = within(path, repository)
    return inside if inside is not None else path.as_posix()


def within(path: Path, folder: Path) -> str | None:
    """Return the path relative to the folder in POSIX form, `.` for the folder itself; None if it is outside."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return None


def relative(path: Path, folder: Path) -> str:
    """Return the path relative to a folder, with `..` if necessary; both absolute."""
    return posixpath.relpath(path.as_posix(), folder.as_posix())
