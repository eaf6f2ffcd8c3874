"""The folder that an image is built from, under a name that changes with what a builder would not notice.

BuildKit sends a file again only where its size or date differs from what it was sent under the same path. A file
with other content, the same size and a date that was set back (`cp -p`, `touch -r`, tar, npm) stays the old one,
also with `--no-cache`. The kernel's own date of change tells of it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

SKIPPED = {".git", ".kamal"}
SAME = 50_000_000  # nanoseconds between the two dates of a file that was written and then renamed


def named(context: Path, beside: Iterable[Path] = ()) -> Path:
    """Return the path to build from: `context` itself, or a link to it that is another one after such a change.

    `beside` are further files that the build reads. Links stay in the user's cache folder, so that
    the next build without a change sends nothing again.
    """
    marks = sorted(mark for path in (context, *beside) for mark in _set_back(path))
    if not marks:
        return context
    name = hashlib.sha256("\n".join([str(context), *marks]).encode(errors="surrogateescape")).hexdigest()[:16]
    try:
        link = _cache() / name
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget(link, context)
        with suppress(FileExistsError):
            link.symlink_to(context)
        return link if os.readlink(link) == str(context) else context  # noqa: PTH115
    except (OSError, RuntimeError):  # no home folder, or none that can be written to
        return context


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(home, "kamal-dev/contexts")


def _forget(link: Path, context: Path) -> None:
    """Remove what this folder was called before: that name is not built from again."""
    for other in link.parent.iterdir():
        if other != link and other.is_symlink() and os.readlink(other) == str(context):  # noqa: PTH115
            other.unlink(missing_ok=True)


def _set_back(path: Path) -> Iterator[str]:
    """Yield a line for each file below a path, or for the file itself, whose date is not that of its last change."""
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
