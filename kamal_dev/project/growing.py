"""Write a file once while several readers read it. None of them holds more than a chunk in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

PIECE = 1 << 17
LEAST = 1 << 20  # bytes that are worth a frame


class GrowingFile:
    """Write `pieces` to `path` in the background; `error` says why it ended early."""

    def __init__(self, path: Path, pieces: Iterable[bytes]) -> None:
        self.path = path
        self.error: OSError | None = None
        self._pieces = pieces
        self._changed = threading.Condition()
        self.path.touch(mode=0o600)
        self._size = 0
        self._is_whole = False
        threading.Thread(target=self._write, daemon=True).start()

    def wait(self, size: int) -> int:
        """Return the size once it is at least this, or final. Raises OSError if the rest does not arrive."""
        with self._changed:
            while self._size < size and not self._is_whole and not self.error:
                self._changed.wait(1.0)
            if self.error:
                raise self.error
            return self._size

    def read(self, size: int) -> bytes:
        """Read this many bytes from the beginning, or all if there are fewer. Raises OSError."""
        self.wait(size)
        with self.path.open("rb") as file:
            return file.read(size)

    def frames(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield what has arrived: the number of bytes, and the bytes. Raises OSError if the rest does not arrive."""
        done = 0
        with self.path.open("rb") as file:
            while (size := self.wait(done + LEAST)) > done:
                yield size - done, _pieces(file.read, size - done)
                done = size

    def _write(self) -> None:
        try:
            with self.path.open("wb", buffering=0) as file:
                for piece in self._pieces:
                    file.write(piece)
                    self._tell(len(piece))
        except OSError as error:
            self.error = error
        self._is_whole = True
        self._tell(0)

    def _tell(self, more: int) -> None:
        with self._changed:
            self._size += more
            self._changed.notify_all()


def _pieces(read: Callable[[int], bytes], size: int) -> Iterator[bytes]:
    while size > 0 and (piece := read(min(size, PIECE))):
        size -= len(piece)
        yield piece
