"""Folders for temporary files: deleted with the run that created them, or by a later run if it was killed."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

NAME = re.compile(r"kamal-dev-[a-z]+-(\d+)-\w+")


@contextmanager
def folder(what: str, place: Path | None = None) -> Iterator[Path]:
    """Create a private folder in `place` (default: the system's folder for temporary files).

    Folders of processes that have ended are deleted, because they may contain images or a login.
    """
    place = place or Path(tempfile.gettempdir())
    _sweep(place)
    with tempfile.TemporaryDirectory(prefix=f"kamal-dev-{what}-{os.getpid()}-", dir=place) as name:
        yield Path(name)


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
