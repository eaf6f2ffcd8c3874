"""Show the files of this machine to the rows that open none. Writes nothing."""

from __future__ import annotations

import errno
import os
import select
import stat
import time
from pathlib import Path

MOST = 1 << 20  # bytes that are taken from a pipe


class WorkingTree:
    """Read the real file system; every file is read once, so that one run sees one state."""

    def __init__(self) -> None:
        self._read: dict[Path, bytes] = {}

    def read(self, path: Path) -> bytes:
        """Return a file's content; raises OSError, also for what never ends, as a pipe or a device."""
        if path not in self._read:
            if path.exists() and not path.is_file() and not path.is_dir():
                raise OSError(errno.EINVAL, "is not a regular file", str(path))
            self._read[path] = path.read_bytes()
        return self._read[path]

    def was_read_late(self, path: Path) -> bool:
        """Whether a file was read, and still is as it was read: where it changed, that was before."""
        try:
            return path in self._read and path.read_bytes() == self._read[path]
        except OSError:
            return False

    def kind(self, path: Path) -> str:
        """Return `file`, `directory`, or an empty string where neither is."""
        if path.is_dir():
            return "directory"
        return "file" if path.is_file() else ""

    def mode(self, path: Path) -> int:
        """Return a file's permission bits; raises OSError."""
        return path.stat().st_mode & 0o777

    def oddity(self, path: Path) -> str:
        """Return what is at a path where a file is wanted and none is; empty for a file, and for nothing at all."""
        try:
            mode = path.stat().st_mode
        except OSError:
            return "a broken link" if path.is_symlink() else ""
        odd = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a named pipe"), (stat.S_ISSOCK, "a socket"))
        named = next((name for is_one, name in odd if is_one(mode)), "a device")
        return "" if stat.S_ISREG(mode) else named

    def pipe(self, path: Path, seconds: float) -> bytes:
        """Return what comes through a named pipe until its writer closes it. Raises OSError, also where none comes."""
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
        """Return the names in a folder, sorted; empty where it is none."""
        try:
            return tuple(sorted(entry.name for entry in path.iterdir()))
        except OSError:
            return ()


def _drained(path: Path, seconds: float) -> bytes:
    # Without O_NONBLOCK a pipe that nobody writes to would block already when it is opened.
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
