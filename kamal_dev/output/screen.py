"""Show lines on the whole terminal, and replace them in place."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from textwrap import wrap

from rich.console import Console, ConsoleDimensions
from rich.live import Live
from rich.text import Text


class Screen:
    """Draw what `lines` returns for the width of the terminal, on a screen of its own that disappears at the end.

    Drawn by `refresh` and when the terminal is resized: in between a terminal may not have its new size everywhere,
    and would scroll what is drawn for the old one. Use it in the main thread.
    """

    def __init__(self, lines: Callable[[int], list[str]], console: Console | None = None) -> None:
        self._lines = lines
        self._console = console or Console(highlight=False)
        self._live = Live(
            console=self._console,
            screen=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            get_renderable=lambda: self.picture(self._console.width, self._console.height),
        )
        self._is_drawing = self._is_resized = False

    def __enter__(self) -> Screen:
        """Take the terminal."""
        self._before = signal.signal(signal.SIGWINCH, self._resize)
        self._live.start()
        self.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal back as it was."""
        signal.signal(signal.SIGWINCH, self._before)
        self._live.stop()

    def refresh(self) -> None:
        """Draw the lines that there are now."""
        self._is_drawing = self._is_resized = True
        while self._is_resized:
            self._is_resized = False
            # COLUMNS and LINES of the environment may be those of another terminal, or of an earlier size.
            self._console.size = ConsoleDimensions(*os.get_terminal_size(self._console.file.fileno()))
            self._live.refresh()
        self._is_drawing = False

    def _resize(self, *_: object) -> None:
        self._is_resized = True
        if not self._is_drawing:
            self.refresh()

    def picture(self, width: int, height: int) -> Text:
        """Return the lines that fit a terminal of this size; the last one counts those that do not."""
        # The last column stays empty: some terminals start a new line when it is used.
        room = max(width - 1, 1)
        lines = [part for line in self._lines(room) for part in _wrapped(line, room)]
        if len(lines) > height:
            lines = [*lines[: max(height - 1, 0)], f"… and {len(lines) - height + 1} more lines"]
        return Text("\n".join(lines), no_wrap=True, overflow="crop")


def _wrapped(line: str, width: int) -> list[str]:
    return wrap(line, width) if len(line) > width else [line]
