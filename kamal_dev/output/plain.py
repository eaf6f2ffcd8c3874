"""Show events as lines of text with the time, for logs, pipes and CI: one line per change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TextIO

from kamal_dev.output.build_log import build_step
from kamal_dev.output.event import Event
from kamal_dev.output.rows import ends_command
from kamal_dev.output.sentences import line, progress
from kamal_dev.output.symbols import written

SIGNS = {"done": "✓ ", "skipped": "✓ ", "failed": "✗ ", "warning": "! "}
APART = 10.0  # seconds between two progress lines of a phase
# The output of these phases comes from users' programs and is shown in full; other output is reduced to its steps.
SHOWN = ("hook", "initializing", "lifecycle", "forwarding")


class Plain:
    """Write lines of text to a stream; `verbose` adds commands and all output of programs."""

    def __init__(
        self,
        stream: TextIO,
        *,
        verbose: bool = False,
        is_ascii: bool = False,
        clock: Callable[[], str] = lambda: time.strftime("%H:%M:%S"),
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._is_ascii = is_ascii
        self._clock = clock
        self._last: dict[tuple[str, str], float] = {}
        self._shown: dict[str, set[str]] = {}  # the output of lifecycle commands, by stack
        self._building: set[str] = set()  # the images being built

    def __call__(self, event: Event) -> None:
        """Write the event and flush, so that a reader of a pipe sees it at once."""
        # A deploy does not stop because the reader is gone or the disk is full.
        with suppress(OSError, ValueError):
            for text in self._lines(event):
                written(self._stream, f"{self._clock()} {text}", is_ascii=self._is_ascii)

    def _lines(self, event: Event) -> Iterator[str]:
        if ends_command(event):
            return
        self._follow(event)
        if event.status == "output":
            yield from self._output(event)
        elif event.status == "progress":
            if (how_far := progress(event)) and self._is_due(event):
                yield f"{line(event, full=self._verbose)} ({how_far})"
        else:
            self._last[event.phase, event.stack] = time.monotonic()
            yield render(event, full=self._verbose)
        shown = self._shown.get(event.stack, set())
        yield from explained(replace(event, log=tuple(text for text in event.log if text not in shown)))

    def _follow(self, event: Event) -> None:
        if event.phase == "building" and event.status == "started":
            self._building.add(event.subject)
        elif event.phase == "building" and event.status in ("done", "failed"):
            self._building.discard(event.subject)

    def _output(self, event: Event) -> Iterator[str]:
        if event.phase == "lifecycle":
            self._shown.setdefault(event.stack, set()).add(event.message)
        step = build_step(event.message) if event.phase == "building" else None
        if self._verbose or event.phase in SHOWN:
            yield f"  {self._owner(event)}{line(event)}"
        elif step and step.current is not None:
            yield f"  {self._owner(event)}{step.text}"

    def _owner(self, event: Event) -> str:
        """Return the image that a line is about if several are built in parallel."""
        name = event.subject.rpartition("/")[2].partition(":")[0]
        return f"{name}: " if event.phase == "building" and len(self._building) > 1 else ""

    def _is_due(self, event: Event) -> bool:
        """Return whether enough time has passed since the last progress line of this phase."""
        key, moment = (event.phase, event.stack), time.monotonic()
        if moment - self._last.get(key, 0.0) < APART:
            return False
        self._last[key] = moment
        return True


def explained(event: Event) -> Iterator[str]:
    """Yield the details of a failure or a warning: last lines, what was left behind, what to do."""
    where = f"{event.stack}: " if event.stack else ""
    yield from (f"  {where}{text}" for text in event.log)
    if event.left_behind:
        yield f"  {where}left behind: {event.left_behind}"
    if event.hint:
        yield f"hint: {event.hint}"


def render(event: Event, *, full: bool = False) -> str:
    """Return the event as one line, without the time."""
    return f"{SIGNS.get(event.status, '')}{line(event, full=full)}"
