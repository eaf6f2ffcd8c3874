"""Show events to a person: lines scroll by, and below them what each host is doing now."""

from __future__ import annotations

from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from kamal_dev.output import Event
from kamal_dev.output.plain import render

STYLES = {"failed": "red", "warning": "yellow", "hint": "cyan", "line": "dim", "done": "green", "step": "dim"}


class Terminal:
    """Keep one moving line for each host (and one for this machine) until its work is done."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._running: dict[str, Spinner] = {}
        self._live: Live | None = None

    def __call__(self, event: Event) -> None:
        """Show the event."""
        if event.kind == "start":
            self._running[event.host] = Spinner(
                "dots", Text(f"{event.host}: {event.text}" if event.host else event.text)
            )
        else:
            if event.kind in ("done", "failed"):
                self._running.pop(event.host, None)
            self._console.print(Text(render(event), style=STYLES.get(event.kind, "")))
        self._refresh()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._running.clear()
        self._refresh()

    def _refresh(self) -> None:
        if self._running and self._live is None:
            self._live = Live(
                console=self._console, transient=True, refresh_per_second=10, get_renderable=self._picture
            )
            self._live.start()
        elif not self._running and self._live is not None:
            self._live.stop()
            self._live = None

    def _picture(self) -> Any:
        return Group(*list(self._running.values()))
