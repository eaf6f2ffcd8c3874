"""Locks between runs of `dev` on this machine: nobody waits without a word, or without end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kamal_dev.errors import DevError

if TYPE_CHECKING:
    from filelock import FileLock

SILENT = 2.0  # seconds of waiting that need no word
WAIT = 600.0  # seconds: reading a large working tree for the first time takes minutes

Say = Callable[[str], None]


def lock(path: Path) -> FileLock:
    """Return the lock of a file; to acquire it raises TimeoutError, another OSError where the file cannot be made."""
    # Imported where it is used: it takes longer than all the rest.
    from filelock import FileLock

    return FileLock(path, mode=0o600)


@contextmanager
def held(path: Path, what: str, *, say: Say, silent: float = SILENT, wait: float = WAIT) -> Iterator[None]:
    """Hold the lock of a file within this; `what` is what others do who hold it, as in `reads the source`.

    Raises DevError after `wait` seconds, OSError where the file cannot be made.
    """
    held_file = lock(path)
    try:
        try:
            held_file.acquire(timeout=silent)
        except TimeoutError:
            say(f"Waiting for another `dev`, which {what}")
            held_file.acquire(timeout=wait)
    except TimeoutError as error:
        raise DevError(
            f"{path}: another `dev` {what}, for longer than {silent + wait:.0f} s now",
            hint="wait for it to finish, or stop it",
        ) from error
    try:
        yield
    finally:
        held_file.release()
