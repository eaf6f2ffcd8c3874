"""Pass on what a host sends, as it arrives."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO

from kamal_dev.project import backup_file, backup_tar
from kamal_dev.shell.fanout import Background

AHEAD = 64  # chunks


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """Yield everything."""
    while chunk := stream.read(backup_file.CHUNK):
        yield chunk


def counted(parts: Iterable[bytes], progress: Callable[[int], object]) -> Iterator[bytes]:
    """Yield the chunks, and pass the number of bytes so far to `progress`."""
    count = 0
    for chunk in parts:
        yield chunk
        count += len(chunk)
        progress(count)


def checked(stream: BinaryIO) -> Iterator[bytes]:
    """Yield a compressed tar while it is checked like a backup. Raises DevError if it is cut off or harmful."""
    passing: queue.Queue[bytes] = queue.Queue(AHEAD)
    checking = Background(lambda: _Passing(stream, passing).check(), name="check")
    while chunk := passing.get():
        yield chunk
    checking.result()


class _Passing:
    """Read a stream, and pass on what was read."""

    def __init__(self, stream: BinaryIO, passing: queue.Queue[bytes]) -> None:
        self._stream, self._passing = stream, passing

    def read(self, size: int, /) -> bytes:
        """Return the next bytes."""
        chunk = self._stream.read(size)
        if chunk:
            self._passing.put(chunk)
        return chunk

    def check(self) -> None:
        """Read everything as a backup."""
        try:
            backup_tar.parts(backup_file.Unzipped(self), lambda chunk: None)
        finally:
            self._passing.put(b"")
