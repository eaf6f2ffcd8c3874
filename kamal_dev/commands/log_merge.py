"""Merge the lines of many logs by time. Reads no log."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator
from operator import attrgetter

from kamal_dev.commands.logs import LogLine, LogReader, LogSource

MOST = 64 << 20  # bytes of lines that are held back
LINE = 250  # bytes that a line takes in addition to its text

_time: Callable[[LogLine], bytes] = attrgetter("time")


class LogMerge:
    """Hold lines back until no earlier ones are expected.

    While the logs that existed at the start are read, these are the lines up to the earliest of the containers' last
    lines. Later lines are returned by the second call of `due` after their arrival: the clocks of hosts differ, and a
    silent container must not delay the others. Not thread-safe: a line and the bound it moves belong together.
    """

    def __init__(self, readers: Iterable[LogReader] = (), *, most: int = MOST) -> None:
        self._readers = list(readers)
        self._most = most
        self._waiting: list[LogLine] = []
        self._size = 0
        self._is_past = True
        self._newest = b""
        self._absent: tuple[LogReader, ...] = ()

    def add(self, reader: LogReader) -> None:
        """Expect the lines of one more reader."""
        self._readers.append(reader)

    def read(self, reader: LogReader, data: bytes) -> None:
        """Process the next bytes of one reader."""
        lines = reader.read(data)
        self._waiting += lines
        self._size += _size(lines)

    def has_room(self, reader: LogReader) -> bool:
        """Return whether to read on; if all others wait for this reader, it may exceed the limit."""
        return self._size <= self._most or (self._is_past and self._is_slowest(reader))

    def due(self, absent: Collection[LogReader] = ()) -> list[LogLine]:
        """Return the lines to print now; nothing is expected from the `absent` readers."""
        self._absent = tuple(absent)
        self._waiting.sort(key=_time)
        at = max(bisect_right(self._waiting, self._bound(), key=_time), self._excess())
        due, self._waiting = self._waiting[:at], self._waiting[at:]
        self._size -= _size(due)
        return due

    def rest(self) -> list[LogLine]:
        """Return the remaining lines."""
        due, self._waiting, self._size = sorted(self._waiting, key=_time), [], 0
        return due

    def _bound(self) -> bytes:
        """Return the time up to which lines are printed."""
        self._is_past = self._is_past and any(map(_is_past, self._present()))
        newest, self._newest = self._newest, self._waiting[-1].time if self._waiting else b""
        return min(map(_reached, self._present()), default=newest) if self._is_past else newest

    def _present(self) -> Iterator[LogReader]:
        """Yield the readers whose earlier lines are still expected, while that matters."""
        absent = set(map(id, self._absent))
        return (reader for reader in self._readers if id(reader) not in absent and _is_past(reader))

    def _is_slowest(self, reader: LogReader) -> bool:
        return _is_past(reader) and _reached(reader) <= min(map(_reached, self._present()), default=b"")

    def _excess(self) -> int:
        """Return how many lines to print although earlier ones may follow: one container is too far behind."""
        if self._size <= 2 * self._most:
            return 0
        size, at = self._size, 0
        while size > self._most:
            size -= _size(self._waiting[at : at + 1])
            at += 1
        return at


def _size(lines: Iterable[LogLine]) -> int:
    return sum(LINE + len(line.text) for line in lines)


def _reached(reader: LogReader) -> bytes:
    """Return the time up to which the earlier lines of a reader have arrived."""
    return min((source.last for source in _incomplete(reader)), default=b"") if reader.is_listed else b""


def _is_past(reader: LogReader) -> bool:
    """Return whether lines from before the start are still expected."""
    return not reader.is_listed or any(_incomplete(reader))


def _incomplete(reader: LogReader) -> Iterator[LogSource]:
    return (source for source in reader.sources.values() if not source.is_complete)
