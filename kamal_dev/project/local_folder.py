"""The folder of this machine's own files: keys, caches, what was deployed. Nothing of it is the repository's."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from kamal_dev.errors import UsageError

PRIVATE = ".kamal/local"


def private(root: Path) -> Path:
    """Return the folder, 0700; its own file makes git ignore it. Raises UsageError as `refuse_links`."""
    refuse_links(root)
    folder = root / PRIVATE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    return folder


def refuse_links(root: Path) -> Path:
    """Return `root`. Raises UsageError where a link leads to the folder from outside the repository, or is in it.

    Git keeps links, so that a repository can bring one along: what is written there would go
    to the file that it points to.
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
    """Yield what is in a folder and below, as deep as files are written under predictable names."""
    # Another thread, or another `dev`, renames and removes what it writes here at any moment.
    try:
        paths = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in paths:
        yield path
        # The folders of objects have two digits.
        if depth and len(path.name) > 2 and not path.is_symlink():
            yield from _entries(path, depth - 1)


def _kind(path: Path) -> int:
    """Return what the file is in one look; 0 where it has gone meanwhile."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except FileNotFoundError:
        return 0


def refuse_way_out(root: Path, name: str) -> Path:
    """Return a path below `root`. Raises UsageError where a link on the way leads out of the repository, or nowhere."""
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
