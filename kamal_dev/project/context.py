"""Give the build context a name that changes if a file changed in a way that a builder would not notice.

BuildKit sends a file again only if its size or date differs from what it received under the same path. A file with
new content, the same size and an old date (`cp -p`, `touch -r`, tar, npm) would not be sent, even with `--no-cache`.
The kernel's change time reveals such a file. It also takes two folders with the same last name for one: files of two
checkouts that are written in the same tick of the clock would be mixed up, so each checkout has a name of its own.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

SKIPPED = {".git", ".kamal"}
SAME = 50_000_000  # nanoseconds between both dates of a file that is written and then renamed


def named(context: Path, beside: Iterable[Path] = ()) -> Path:
    """Return the path to build from: `context`, or a link to it with a new name after such a change or for a checkout.

    `beside` are further files that the build reads. Links are kept in the user's cache folder, so that the next build
    without a change sends nothing again.
    """
    marks = sorted(mark for path in (context, *beside) for mark in _set_back(path))
    if not marks and not context.is_relative_to(_cache().parent):
        return context
    name = hashlib.sha256("\n".join([str(context), *marks]).encode(errors="surrogateescape")).hexdigest()[:16]
    try:
        link = _cache() / name
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            link.symlink_to(context)
            _forget(link, context)
        return link if os.readlink(link) == str(context) else context  # noqa: PTH115
    except (OSError, RuntimeError):  # there is no home folder, or it is not writable
        return context


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home, "kamal-dev/contexts")


def _forget(link: Path, context: Path) -> None:
    """Delete the earlier names of this folder, and those of folders that are gone: nothing is built from them."""
    for other in link.parent.iterdir():
        if other != link and other.is_symlink() and (not other.exists() or os.readlink(other) == str(context)):  # noqa: PTH115
            other.unlink(missing_ok=True)


def forget_missing() -> None:
    """Delete the names of folders that do not exist any longer, and their folder if none is left."""
    links = _cache()
    with suppress(OSError):
        for link in links.iterdir():
            if link.is_symlink() and not link.exists():
                link.unlink(missing_ok=True)
        links.rmdir()


def _set_back(path: Path) -> Iterator[str]:
    """Yield a line for each file below a path, or for the file itself, whose date is older than its last change."""
    if path.is_dir():
        yield from _below(path)
        return
    with suppress(OSError):
        yield from _mark(str(path), path.lstat())


def _below(folder: Path) -> Iterator[str]:
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in files:
            path = os.path.join(where, name)  # noqa: PTH118
            with suppress(OSError):
                yield from _mark(path, os.lstat(path))


def _mark(path: str, status: os.stat_result) -> Iterator[str]:
    if status.st_ctime_ns - status.st_mtime_ns > SAME:
        yield f"{os.fsencode(path)!r} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
