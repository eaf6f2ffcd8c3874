"""Bring lines of many logs into the order of time. Reads no log."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from operator import attrgetter

from kamal_dev.commands.logs import LogLine, LogReader

_time: Callable[[LogLine], bytes] = attrgetter("time")


class LogMerge:
    """Hold lines back until no earlier one is expected.

    While the logs are read that existed at the start, those are the lines that are no later than the last of every
    container. What is written from then on is printed at the second call of `due` after it came: the clocks of
    hosts differ, and a container that is silent holds nothing up.
    """

    def __init__(self, readers: Iterable[LogReader]) -> None:
        self._readers = tuple(readers)
        self._waiting: list[LogLine] = []
        self._is_past = True
        self._newest = b""

    def due(self, lines: Iterable[LogLine], ended: Iterable[LogReader] = ()) -> list[LogLine]:
        """Take lines that came, and return those to be printed now; nothing more comes from those that have `ended`."""
        self._waiting.extend(lines)
        self._waiting.sort(key=_time)
        bound = self._bound({id(reader) for reader in ended})
        at = bisect_right(self._waiting, bound, key=_time)
        due, self._waiting = self._waiting[:at], self._waiting[at:]
        return due

    def rest(self) -> list[LogLine]:
        """Return what is still held back."""
        due, self._waiting = self._waiting, []
        return due

    def _bound(self, ended: set[int]) -> bytes:
        """Return the time up to which lines are printed."""
        self._is_past = self._is_past and any(map(_is_past, (item for item in self._readers if id(item) not in ended)))
        newest, self._newest = self._newest, self._waiting[-1].time if self._waiting else b""
        if not self._is_past:
            return newest
        readers = [reader for reader in self._readers if id(reader) not in ended]
        if not all(reader.is_listed for reader in readers):
            return b""
        return min(source.last for reader in readers for source in reader.sources.values() if not source.is_complete)


def _is_past(reader: LogReader) -> bool:
    """Whether lines are still expected that were written before the reading began."""
    return not reader.is_listed or any(not source.is_complete for source in reader.sources.values())
