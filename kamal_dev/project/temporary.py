"""Folders for temporary files: deleted with the run that created them, or by a later run if it was killed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kamal_dev.pattern import pattern

NAME = pattern(r"kamal-dev-[a-z]+-(\d+)-\w+")

_open: set[tempfile.TemporaryDirectory[str]] = set()
_guard = threading.Lock()
_is_over = threading.Event()


@contextmanager
def folder(what: str, place: Path | None = None) -> Iterator[Path]:
    """Create a private folder in `place` (default: the system's folder for temporary files).

    Folders of processes that have ended are deleted, because they may contain images or a login. Raises
    InterruptedError after `delete_all`.
    """
    place = place or Path(tempfile.gettempdir())
    _sweep(place)
    with _guard:
        if _is_over.is_set():
            raise InterruptedError(errno.EINTR, "this run is over", str(place))
        made = tempfile.TemporaryDirectory(prefix=f"kamal-dev-{what}-{os.getpid()}-", dir=place)
        _open.add(made)
    try:
        yield Path(made.name)
    finally:
        made.cleanup()
        with _guard:
            _open.discard(made)


def delete_all() -> None:
    """Delete the folders that other threads still use: the process ends now, and with it these threads.

    After an interrupt nobody waits for them, and one that has not deleted its folder yet never would.
    """
    with _guard:
        _is_over.set()
        for made in _open:
            shutil.rmtree(made.name, ignore_errors=True)


def _sweep(place: Path) -> None:
    with suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            made_by = NAME.fullmatch(entry.name)
            if made_by and _is_ours(entry) and not _is_alive(int(made_by[1])):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_uid == os.getuid()


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
