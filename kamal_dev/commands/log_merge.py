"""Merge the lines of many logs by time. Reads no log."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from operator import attrgetter

from kamal_dev.commands.logs import LogLine, LogReader

_time: Callable[[LogLine], bytes] = attrgetter("time")


class LogMerge:
    """Hold lines back until no earlier ones are expected.

    While the logs that existed at the start are read, these are the lines up to the earliest of the containers' last
    lines. Later lines are printed at the second call of `due` after their arrival: the clocks of hosts differ, and a
    silent container must not delay the others.
    """

    def __init__(self, readers: Iterable[LogReader]) -> None:
        self._readers = tuple(readers)
        self._waiting: list[LogLine] = []
        self._is_past = True
        self._newest = b""

    def due(self, lines: Iterable[LogLine], ended: Iterable[LogReader] = ()) -> list[LogLine]:
        """Add new lines, and return those to print now; `ended` sources send no more lines."""
        self._waiting.extend(lines)
        self._waiting.sort(key=_time)
        bound = self._bound({id(reader) for reader in ended})
        at = bisect_right(self._waiting, bound, key=_time)
        due, self._waiting = self._waiting[:at], self._waiting[at:]
        return due

    def rest(self) -> list[LogLine]:
        """Return the remaining lines."""
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
        # A reader may have completed its last source just now.
        sources = (source for reader in readers for source in reader.sources.values())
        return min((source.last for source in sources if not source.is_complete), default=newest)


def _is_past(reader: LogReader) -> bool:
    """Return whether lines from before the start are still expected."""
    return not reader.is_listed or any(not source.is_complete for source in reader.sources.values())
