"""What each stack and this machine are doing now: the state drawn by the live view."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from kamal_dev.output.build_log import build_step, fetched
from kamal_dev.output.event import Event

# The phases that end the work on a stack; after other phases its row waits for the next one.
LAST = ("deploying", "rolling_back", "removing", "pruning", "forwarding")


@dataclass
class LiveRow:
    """Hold the state of one row: its running phases, and the last one that ended."""

    begun: float
    running: dict[str, Event] = field(default_factory=dict)
    ended: Event | None = None
    detail: str = ""
    layers: dict[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def event(self) -> Event | None:
        """The phase that started last and still runs, else the one that ended last."""
        return next(reversed(self.running.values()), self.ended)


class LiveRows:
    """Keep one row for each stack, and one for each phase on this machine, in order of their start."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rows: dict[tuple[str, str], LiveRow] = {}

    def all(self) -> list[LiveRow]:
        """Return the rows: first those of this machine, then the stacks by name."""
        return [row for _, row in sorted(self._rows.items(), key=lambda item: (bool(item[0][0]), item[0][0]))]

    def take(self, event: Event) -> bool:
        """Process an event; return whether to print it permanently, because no other event would report it."""
        if event.status == "output":
            return self._output(event)
        if event.status in ("started", "progress"):
            self._run(event)
            return False
        if event.status in ("done", "skipped", "failed"):
            return self._end(event)
        return True

    def clear(self) -> list[LiveRow]:
        """Remove and return all rows."""
        rows = self.all()
        self._rows.clear()
        return rows

    def _run(self, event: Event) -> None:
        row = self._rows.setdefault(_key(event), LiveRow(self._clock()))
        known = row.running.get(event.phase)
        if event.status == "started" or known is None:
            row.running.pop(event.phase, None)
            row.begun, row.detail, row.layers = self._clock(), event.message, {}
            row.running[event.phase] = event
        elif event.unit == "bytes" or known.unit != "bytes":
            # Bytes say more than a number of images.
            row.running[event.phase] = replace(
                known, current=event.current, total=event.total, unit=event.unit, subject=known.subject or event.subject
            )

    def _end(self, event: Event) -> bool:
        row = self._rows.get(_key(event))
        if row:
            row.running.pop(event.phase, None)
            row.ended, row.detail = event, ""
        if event.stack and row and event.status != "failed" and event.phase not in LAST:
            return False
        self._rows.pop(_key(event), None)
        return not ends_command(event)

    def _output(self, event: Event) -> bool:
        row = self._rows.get(_key(event))
        if row is None or not row.running or event.phase in ("hook", "initializing"):
            return True
        if event.phase not in ("building", "pushing"):
            row.detail = event.message
        elif step := build_step(event.message):
            row.detail, row.layers = step.text, {}
            self._advance(row, event, step.current, step.total)
        elif (layer := fetched(event.message)) is not None:
            row.layers[event.message.split()[1]] = layer
        return False

    def _advance(self, row: LiveRow, event: Event, current: int | None, total: int | None) -> None:
        if (known := row.running.get(event.phase)) and current is not None:
            # A step that starts is not finished.
            row.running[event.phase] = replace(known, current=current - 1, total=total, unit="steps")


def ends_command(event: Event) -> bool:
    """Return whether the command ends with this failure, and so reports it itself."""
    return event.status == "failed" and not event.stack


def _key(event: Event) -> tuple[str, str]:
    # Two images may be built in parallel: the project's, and the one for hosts.
    return (event.stack, "") if event.stack else ("", f"{event.phase} {event.subject}")
