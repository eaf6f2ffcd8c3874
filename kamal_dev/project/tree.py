"""Read files for the layers that do no I/O themselves. Writes nothing."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path

MOST = 1 << 20  # bytes to read from a pipe, at most


class WorkingTree:
    """Read the real file system; every file is read once, so that a run sees a single state."""

    def __init__(self) -> None:
        self._read: dict[Path, bytes] = {}

    def read(self, path: Path) -> bytes:
        """Return a file's content; raises OSError, also for a pipe or a device, which may never end."""
        if path not in self._read:
            if path.exists() and not path.is_file() and not path.is_dir():
                raise OSError(errno.EINVAL, "is not a regular file", str(path))
            self._read[path] = path.read_bytes()
        return self._read[path]

    def was_read_late(self, path: Path) -> bool:
        """Return whether a file was read and has not changed since; if it changed, it did so before it was read."""
        try:
            return path in self._read and path.read_bytes() == self._read[path]
        except OSError:
            return False

    def kind(self, path: Path) -> str:
        """Return `file`, `directory`, or an empty string for anything else."""
        if path.is_dir():
            return "directory"
        return "file" if path.is_file() else ""

    def mode(self, path: Path) -> int:
        """Return a file's permission bits; raises OSError."""
        return path.stat().st_mode & 0o777

    def oddity(self, path: Path) -> str:
        """Return what is at a path instead of a file; empty for a file, and if nothing is there."""
        try:
            mode = path.stat().st_mode
        except OSError:
            return "a broken link" if path.is_symlink() else ""
        odd = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
        named = next((name for is_one, name in odd if is_one(mode)), "a device")
        return "" if stat.S_ISREG(mode) else named

    def pipe(self, path: Path, seconds: float) -> bytes:
        """Return the content of a named pipe until its writer closes it. Raises OSError, also if nothing is written."""
        if path not in self._read:
            self._read[path] = _drained(path, seconds)
        return self._read[path]

    def real(self, path: Path) -> Path:
        """Return the path after resolving symbolic links; a loop of links resolves to itself."""
        try:
            return path.resolve()
        except (OSError, RuntimeError):
            return path

    def list(self, path: Path) -> tuple[str, ...]:
        """Return the names in a folder, sorted; empty if it is not a folder."""
        try:
            return tuple(sorted(entry.name for entry in path.iterdir()))
        except OSError:
            return ()


def _drained(path: Path, seconds: float) -> bytes:
    # Without O_NONBLOCK, opening a pipe without a writer would block.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    content, deadline = b"", time.monotonic() + seconds
    try:
        while (remaining := deadline - time.monotonic()) > 0 and len(content) <= MOST:
            if not select.select([descriptor], [], [], min(remaining, 1.0))[0]:
                continue
            if chunk := os.read(descriptor, 1 << 16):
                content += chunk
            elif content:
                return content
            else:
                time.sleep(0.05)  # nobody has opened the other end yet
    finally:
        os.close(descriptor)
    raise OSError(errno.ETIMEDOUT, f"nothing was written to the pipe within {seconds:g} s", str(path))
