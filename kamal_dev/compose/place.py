"""Where a path lies: absolute, shown to the user, inside the repository or not. Opens nothing."""

from __future__ import annotations

import posixpath
from pathlib import Path

REMOTE = ("https://", "http://", "git://", "ssh://", "github.com/", "git@", "oci://")


def absolute(base: Path, text: str) -> Path:
    """Return the path that `text` means from `base`, without following links.

    A path under `~` or on a drive of Windows stays one, as in Compose.
    """
    if text.startswith("~") or is_windows(text):
        return Path(text)
    return Path(posixpath.normpath(posixpath.join(base.as_posix(), text)))


def is_windows(path: str) -> bool:
    """Whether a path starts at a drive of Windows."""
    return path[1:3] in (":/", ":\\") and path[0].isalpha()


def is_remote(text: str) -> bool:
    """Whether it names something that is not a local path, as Compose decides it."""
    return "://" in text or text.startswith(REMOTE)


def shown(path: Path, repository: Path) -> str:
    """Return the path as messages have it: relative to the repository where it is inside."""
    inside = within(path, repository)
    return inside if inside is not None else path.as_posix()


def within(path: Path, folder: Path) -> str | None:
    """Return the path relative to the folder in POSIX form, `.` for itself; None where it is not inside."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return None


def relative(path: Path, folder: Path) -> str:
    """Return the path as seen from a folder, with `..` where needed; both absolute."""
    return posixpath.relpath(path.as_posix(), folder.as_posix())
