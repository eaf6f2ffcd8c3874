"""Show events to a person: one moving line per host and for this machine; finished lines scroll up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from kamal_dev.output import symbols
from kamal_dev.output.event import Event
from kamal_dev.output.live_area import RATE, LiveArea
from kamal_dev.output.plain import explained
from kamal_dev.output.rows import LiveRow, LiveRows
from kamal_dev.output.sentences import line, progress, sentence
from kamal_dev.output.units import amount, clock, duration

STYLES = {"failed": "red", "warning": "yellow", "done": "green", "skipped": "green", "output": "dim", "step": "dim"}
NARROW, WIDE = 72, 110  # columns: below the first there is no bar, from the second on a long one
BARS = (10, 20)
IMAGES = ("building", "pushing")
SOON = 2.0  # seconds after which the running time is shown


class LiveView:
    """Draw the rows below the scrolling output, until the work is done or something else has to be printed."""

    def __init__(
        self,
        console: Console | None = None,
        *,
        is_ascii: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=False)
        has_signs = symbols.is_unicode(self._console.encoding) and not is_ascii
        self._signs = symbols.UNICODE if has_signs else symbols.ASCII
        self._now = now
        self._rows = LiveRows(now)
        self._area = LiveArea(self._console, self.picture)

    def __call__(self, event: Event) -> None:
        """Show the event."""
        if self._rows.take(event):
            self._print(event)
        self._refresh()

    def close(self) -> None:
        """Release the terminal: the rows disappear, and results that no line has shown yet are printed."""
        for row in self._rows.clear():
            if row.running:
                event = next(reversed(row.running.values()))
                took = duration(self._now() - row.begun)
                self._area.print([Text(f"{self._signs.skipped} {line(event)} (stopped after {took})", "dim")])
            elif row.ended:
                self._print(row.ended)
        self._refresh()

    def _print(self, event: Event) -> None:
        sign = {"done": self._signs.done, "skipped": self._signs.done, "failed": self._signs.failed, "warning": "!"}
        mark = sign.get(event.status, " " if event.status == "output" else "")
        text = Text(f"{mark} " if mark else "", STYLES.get(event.status, ""))
        text.append(self._encodable(line(event)), "" if event.status in ("done", "skipped") else None)
        more = (Text(self._encodable(words), "cyan" * words.startswith("hint: ")) for words in explained(event))
        self._area.print([text, *more])

    def _encodable(self, text: str) -> str:
        return text if self._signs is symbols.UNICODE else symbols.in_ascii(text)

    def _refresh(self) -> None:
        has_rows = bool(self._rows.all())
        if has_rows and not self._area.is_drawn:
            self._area.start()
        elif not has_rows and self._area.is_drawn:
            self._area.stop()

    def picture(self, width: int, height: int) -> list[Text]:
        """Return the rows as lines that fit a terminal of this size."""
        rows = self._rows.all()
        room = max(height - 2, 1)
        shown = rows if len(rows) <= room else rows[: room - 1]
        names = max((len(row.event.stack) for row in rows if row.event), default=0)
        names = min(names, max(width // 3, 8))
        lines = [self._drawn(row, width, names) for row in shown]
        if hidden := len(rows) - len(shown):
            lines.append(Text(f"  {self._encodable('…')} and {hidden} more", "dim"))
        return lines

    def _drawn(self, row: LiveRow, width: int, names: int) -> Text:
        event = row.event
        assert event is not None
        mark, style = (self._spinner(), "cyan") if row.running else (self._signs.done, "green")
        name = f"{self._short(event.stack, names):<{names}}  " if event.stack else ""
        text = Text.assemble((f"{mark} ", style), (name, "bold"), self._encodable(sentence(_named(event))))
        if row.detail:
            text.append(f"  {self._encodable(row.detail)}", "dim")
        right = self._right(row, event, width)
        # The last column stays empty: some terminals start a new line when it is used.
        room = max(width - right.cell_len - 2, 4)
        _fit(text, room, self._encodable("…"))
        text.pad_right(room - text.cell_len + 1)
        text.append_text(right)
        _fit(text, width - 1, "")
        text.no_wrap = True
        return text

    def _short(self, name: str, width: int) -> str:
        """Return a name that fits: its end, where the names of stacks differ."""
        ellipsis = self._encodable("…")
        return name if len(name) <= width else ellipsis + name[len(name) - width + len(ellipsis) :]

    def _right(self, row: LiveRow, event: Event, width: int) -> Text:
        """Return the end of a row: bar, numbers, running time."""
        if not row.running:
            return Text(f"{duration(event.seconds)}" if event.seconds is not None else "", "dim")
        right = self._bar(event, BARS[width >= WIDE]) if width >= NARROW else Text()
        how_far = amount(*map(sum, zip(*row.layers.values(), strict=True))) if row.layers else progress(event)
        # The name of a build step already contains its number.
        if how_far and (row.layers or event.unit != "steps"):
            right.append(f"{how_far}  ")
        elapsed = self._now() - row.begun
        right.append(f"{clock(elapsed):>5}" if elapsed >= SOON else " " * 5, "dim")
        return right

    def _bar(self, event: Event, length: int) -> Text:
        bar = Text()
        if event.current is not None and event.total:
            full = round(length * min(event.current / event.total, 1.0))
            bar.append(self._signs.full * full, "cyan")
            bar.append(self._signs.empty * (length - full), "dim")
            bar.append("  ")
        return bar

    def _spinner(self) -> str:
        frames = self._signs.spinner
        return frames[int(self._now() * RATE) % len(frames)]


def _named(event: Event) -> Event:
    """Return an event with its image shortened by the registry: rows are narrow, the final line has it in full."""
    return replace(event, subject=event.subject.rpartition("/")[2]) if event.phase in IMAGES else event


def _fit(text: Text, width: int, ellipsis: str) -> None:
    """Cut a text that is too long, and end it with an ellipsis."""
    if text.cell_len > width:
        text.truncate(max(width - len(ellipsis), 1))
        text.append(ellipsis, "dim")
