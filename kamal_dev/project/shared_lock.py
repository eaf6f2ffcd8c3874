"""A lock that several runs of `dev` hold at once: a folder is only changed or deleted while one run uses it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class SharedLock:
    """Lock a file in a folder that exists. The lock ends with the `with` block, or with the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> SharedLock:
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self._file)

    def is_alone(self) -> bool:
        """Return whether no other run has the lock; then none gets it until `share`."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        """Hold the lock together with other runs."""
        fcntl.flock(self._file, fcntl.LOCK_SH)


def is_free(path: Path) -> bool:
    """Return whether no run has the lock of a file now."""
    with SharedLock(path) as lock:
        return lock.is_alone()
