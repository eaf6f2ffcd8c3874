"""Show a text on the whole terminal, and replace it in place until Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

REDRAWN = 4  # times per second: so that a resized terminal is redrawn soon


class Screen:
    """Draw what `lines` returns for the width of the terminal, in a screen of its own that disappears at the end."""

    def __init__(self, lines: Callable[[int], list[str]], console: Console | None = None) -> None:
        self._lines = lines
        self._console = console or Console(highlight=False)
        self._live = Live(
            console=self._console,
            screen=True,
            refresh_per_second=REDRAWN,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=lambda: self.picture(self._console.width, self._console.height),
        )

    def __enter__(self) -> Screen:
        """Take the terminal."""
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back as it was."""
        self._live.stop()

    def refresh(self) -> None:
        """Draw the lines that there are now."""
        self._live.refresh()

    def picture(self, width: int, height: int) -> Text:
        """Return the lines that fit a terminal of this size; the last one counts those that do not."""
        # The last column stays empty: some terminals start a new line when it is used.
        lines = [line[: width - 1] for line in self._lines(width - 1)]
        if len(lines) > height:
            lines = [*lines[: max(height - 1, 0)], f"… and {len(lines) - height + 1} more lines"]
        return Text("\n".join(lines), no_wrap=True, overflow="crop")
