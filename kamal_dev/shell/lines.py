"""Split a stream of bytes into lines of text. Opens nothing."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable

from kamal_dev.pattern import pattern

MAX_LINE = 64 * 1024
MAX_KEPT = 8 * 1024 * 1024
_CURSOR = pattern(r"\x1b\[[0-9;?]*[A-Za-z]")


class Lines:
    """Collect a stream: each line goes to `on_line`, the last megabytes are kept.

    Invalid UTF-8 is replaced and endless lines are cut, so that a runaway command can neither make this process fail
    nor fill its memory.
    """

    def __init__(self, on_line: Callable[[str], None] | None = None) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._kept: deque[str] = deque()
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the stream."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        for line in lines:
            self._emit(line)
        while len(self._rest) > MAX_LINE:
            self._emit(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]

    def end(self) -> str:
        """Flush the last line and return the text that was kept."""
        self._rest += self._decoder.decode(b"", final=True)
        if self._rest:
            self._emit(self._rest)
            self._rest = ""
        return "\n".join(self._kept)

    def _emit(self, line: str) -> None:
        line = line.rstrip("\r").rpartition("\r")[2]
        self._kept.append(line)
        self._size += len(line) + 1
        while self._size > MAX_KEPT:
            self._size -= len(self._kept.popleft()) + 1
        if self._on_line:
            self._on_line(line)


class TerminalLines(Lines):
    """Collect what a program draws on a terminal: every state of a line that it redraws is a line.

    Sequences that move the cursor are removed.
    """

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the stream."""
        super().feed(data.replace(b"\r", b"\n"))

    def _emit(self, line: str) -> None:
        if text := _CURSOR.sub("", line).strip():
            super()._emit(text)


class Bytes:
    """Pass a stream on as it arrives; nothing is kept."""

    def __init__(self, take: Callable[[bytes], object]) -> None:
        self._take = take

    def feed(self, data: bytes) -> None:
        """Process the next bytes of the stream."""
        self._take(data)

    def end(self) -> str:
        """Return what was kept."""
        return ""
