"""Locks between runs of `dev` on this machine. Waiting is announced, and limited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kamal_dev.errors import DevError

if TYPE_CHECKING:
    from filelock import FileLock

SILENT = 2.0  # seconds of waiting without a message
WAIT = 600.0  # seconds: reading a large working tree for the first time takes minutes

Say = Callable[[str], None]


def lock(path: Path) -> FileLock:
    """Return the lock of a file; acquiring it raises TimeoutError, or OSError if the file cannot be created."""
    # Imported here because the import is slow.
    from filelock import FileLock

    # It may be released by another thread than the one that acquired it.
    return FileLock(path, mode=0o600, thread_local=False)


@contextmanager
def held(path: Path, what: str, *, say: Say, silent: float = SILENT, wait: float = WAIT) -> Iterator[None]:
    """Hold the lock of a file in the `with` block; `what` says what its owner does, such as `reads the source`.

    Raises DevError after `wait` seconds, OSError if the file cannot be created.
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
