"""Show log lines: for people with the stack and service as a prefix, for programs as JSON lines."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Protocol

from kamal_dev.output import clean
from kamal_dev.output.redaction import Redaction

COLOURS = (36, 33, 32, 35, 34, 96, 93, 92, 95, 94)


class LabelledSource(Protocol):
    """Name the source of a line."""

    @property
    def stack(self) -> str:
        """The stack."""

    @property
    def service(self) -> str:
        """The service."""

    @property
    def name(self) -> str:
        """The container."""

    @property
    def label(self) -> str:
        """The service, and the number of its container."""


class TimedLine(Protocol):
    """One log line and its time."""

    @property
    def time(self) -> bytes:
        """The time in UTC."""

    @property
    def source(self) -> LabelledSource:
        """The container that wrote it."""

    @property
    def text(self) -> bytes:
        """The text of the line."""


class LogView:
    """Write log lines in batches, without secrets and control characters.

    Lines that do not match `pattern` are left out.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        redaction: Redaction,
        *,
        pattern: re.Pattern[str] | None = None,
        as_json: bool = False,
        has_prefix: bool = True,
        has_colours: bool = False,
    ) -> None:
        self._write = write
        self._redaction = redaction
        self._pattern = pattern
        self._as_json = as_json
        self._has_prefix = has_prefix
        self._has_colours = has_colours
        self._prefixes: dict[int, str] = {}
        self._names: list[str] = []
        self._width = 0

    def __call__(self, lines: Iterable[TimedLine]) -> None:
        """Write the lines."""
        lines = list(lines)
        shown = zip(lines, self._texts(lines), strict=True)
        kept = [(line, text) for line, text in shown if self._pattern is None or self._pattern.search(text)]
        if not kept:
            return
        render = self._json if self._as_json else self._plain
        self._write("\n".join([render(line, text) for line, text in kept]) + "\n")

    def _texts(self, lines: list[TimedLine]) -> list[str]:
        """Return the texts ready to print; cleaning them together is many times faster than one by one."""
        raw = [_last_state(line.text).decode(errors="replace") for line in lines]
        texts = clean("\n".join(raw), self._redaction).split("\n")
        # A multi-line secret matched across lines that only happen to follow each other.
        return texts if len(texts) == len(raw) else [clean(text, self._redaction) for text in raw]

    def _json(self, line: TimedLine, text: str) -> str:
        source = line.source
        values = {"time": line.time.decode(errors="replace"), "stack": source.stack, "service": source.service}
        return json.dumps({**values, "container": source.name, "text": text}, ensure_ascii=False)

    def _plain(self, line: TimedLine, text: str) -> str:
        if not self._has_prefix:
            return text
        source = line.source
        return (self._prefixes.get(id(source)) or self._prefix(source)) + text

    def _prefix(self, source: LabelledSource) -> str:
        """Return the prefix for lines of this container, as wide as the longest one so far."""
        name = clean(f"{source.stack} {source.label}", self._redaction)
        if name not in self._names:
            self._names.append(name)
        if len(name) > self._width:
            self._width = len(name)
            self._prefixes.clear()
        prefix = f"{name:<{self._width}} | "
        if self._has_colours:
            prefix = f"\x1b[{COLOURS[self._names.index(name) % len(COLOURS)]}m{prefix}\x1b[0m"
        self._prefixes[id(source)] = prefix
        return prefix


def _last_state(text: bytes) -> bytes:
    """Return what a terminal would finally show of a line with carriage returns."""
    text = text.rstrip(b"\r")
    return text.rpartition(b"\r")[2] if b"\r" in text else text
