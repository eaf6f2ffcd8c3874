"""Show the files of this machine to the rows that open none. Writes nothing."""

from __future__ import annotations

import errno
from pathlib import Path


class WorkingTree:
    """Read the real file system; every file is read once, so that one run sees one state."""

    def __init__(self) -> None:
        self._read: dict[Path, bytes] = {}

    def read(self, path: Path) -> bytes:
        """Return a file's content; raises OSError, also for what never ends, as a pipe or a device."""
        if path not in self._read:
            if path.exists() and not path.is_file() and not path.is_dir():
                raise OSError(errno.EINVAL, "is no regular file", str(path))
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
