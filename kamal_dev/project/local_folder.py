"""The folder for files of this machine only: keys, caches, what was deployed. Not part of the repository."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from kamal_dev.errors import UsageError

PRIVATE = ".kamal/local"


def private(root: Path) -> Path:
    """Return the folder with mode 0700; it contains a .gitignore for itself. Raises UsageError like `refuse_links`."""
    refuse_links(root)
    folder = root / PRIVATE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder


def refuse_links(root: Path) -> Path:
    """Return `root`. Raises UsageError if the folder is, or contains, a link that leads outside of it.

    A repository can contain symbolic links: files written there would end up at their targets.
    """
    folder = refuse_way_out(root, PRIVATE)
    for path in _entries(folder):
        kind = _kind(path)
        if kind == stat.S_IFLNK:
            raise _refused(path, root)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK):
            raise UsageError(f"`{path.relative_to(root)}` is not a regular file", hint="remove it")
    return root


def _entries(folder: Path, depth: int = 4) -> Iterator[Path]:
    """Yield the entries of a folder, as deep as files with predictable names are written."""
    # Other threads and other runs of `dev` rename and remove their files here at any time.
    try:
        paths = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in paths:
        yield path
        # Object folders have names of two digits.
        if depth and len(path.name) > 2 and not path.is_symlink():
            yield from _entries(path, depth - 1)


def _kind(path: Path) -> int:
    """Return the file type with a single system call; 0 if the file is gone."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return 0


def refuse_way_out(root: Path, name: str) -> Path:
    """Return a path below `root`. Raises UsageError if a link on the way leads outside the repository or is broken."""
    repository = next((path for path in (root, *root.parents) if (path / ".git").exists()), root).resolve()
    path = root
    for part in Path(name).parts:
        path /= part
        if path.is_symlink() and not (path.exists() and path.resolve().is_relative_to(repository)):
            raise _refused(path, root)
    return path


def _refused(path: Path, root: Path) -> UsageError:
    return UsageError(
        f"`{path.relative_to(root)}` is a link to `{path.readlink()}`: `dev` would write there",
        hint="remove the link, from git too: `dev` creates the folder",
    )
