"""Draw lines below the scrolling output and replace them in place, also in a terminal that is resized."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from rich.console import Console, ConsoleDimensions
from rich.text import Text

RATE = 8  # redraws per second
SETTLED = 0.3  # seconds after which a terminal has its new size everywhere
KEPT = 100  # printed lines that can be repeated
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
ERASE_LINE, UP, HOME = "\x1b[2K", "\x1b[1A", "\x1b[H"


class LiveArea:
    """Print lines, and between `start` and `stop` draw below them what `lines` returns for the size of the terminal.

    A terminal that becomes too narrow for a line breaks it in two or cuts it, each in its own way, and tells its new
    size later. No count of lines is right then: everything is scrolled away, and the last lines are printed again.
    """

    def __init__(self, console: Console, lines: Callable[[int, int], Iterable[Text]]) -> None:
        self._console = console
        self._lines = lines
        self._widths: list[int] = []
        self._shrunk_to: ConsoleDimensions | None = None
        self._shrunk_at = 0.0
        self._printed: deque[Text] = deque(maxlen=KEPT)
        self._waiting: list[Text] = []
        self._lock = threading.RLock()
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_drawn(self) -> bool:
        """Whether lines are drawn."""
        return self._thread is not None

    def start(self) -> None:
        """Draw, and redraw from now on."""
        self._is_stopped.clear()
        self._thread = threading.Thread(target=self._redraw, daemon=True)
        if self._console.is_terminal:
            self._write(HIDE)
            self.refresh()
            self._thread.start()

    def stop(self) -> None:
        """Remove the lines, and leave the terminal as it was."""
        self._is_stopped.set()
        if self._thread and self._thread.is_alive():
            self._thread.join()
        self._thread = None
        with self._lock:
            self._settle(self._size(), wait=0)
            self._print_waiting()
            if self._console.is_terminal:
                self._write(self._erasure() + SHOW)
                self._widths = []

    def print(self, texts: Iterable[Text]) -> None:
        """Print lines that stay, above those that are drawn."""
        with self._lock:
            self._waiting += texts
            self.refresh()

    def refresh(self) -> None:
        """Print what waits, and draw the lines that there are now; not while the terminal is being resized."""
        with self._lock:
            size = self._size()
            if self._settle(size, SETTLED):
                self._print_waiting()
                self._draw(size)

    def _redraw(self) -> None:
        # The terminal may be closed meanwhile.
        with suppress(OSError, ValueError):
            while not self._is_stopped.wait(1 / RATE):
                self.refresh()

    def _print_waiting(self) -> None:
        if self._waiting:
            self._write(self._erasure())
            self._widths = []
            for text in self._waiting:
                self._console.print(text, soft_wrap=True)
            self._printed += self._waiting
            self._waiting.clear()

    def _draw(self, size: ConsoleDimensions) -> None:
        if not (self._console.is_terminal and self.is_drawn):
            return
        lines = [*self._lines(*size)]
        with self._console.capture() as drawn:
            for number, line in enumerate(lines):
                self._console.print(line, end="" if number == len(lines) - 1 else "\n", soft_wrap=True)
        self._write(f"{self._erasure()}{drawn.get()}\r")
        self._widths = [line.cell_len for line in lines]

    def _erasure(self) -> str:
        # Erasing all below would add what is erased to the history of some terminals.
        return f"\r{ERASE_LINE}" + (UP + ERASE_LINE) * (len(self._widths) - 1) if self._widths else ""

    def _settle(self, size: ConsoleDimensions, wait: float) -> bool:
        """Return whether the size is as it was, or has been for this time; then what was broken is repeated."""
        if all(cells < size.width for cells in self._widths):
            return True
        if size != self._shrunk_to:
            self._shrunk_to, self._shrunk_at = size, time.monotonic()
        if time.monotonic() - self._shrunk_at < wait:
            return False
        self._write(f"\x1b[{size.height};1H" + "\n" * size.height + HOME)
        self._widths, self._shrunk_to = [], None
        for text in self._last(size):
            self._console.print(text, soft_wrap=True)
        return True

    def _last(self, size: ConsoleDimensions) -> list[Text]:
        """Return the printed lines that fit above those that are drawn."""
        rows, shown = size.height - len([*self._lines(*size)]) - 1, deque[Text]()
        for text in reversed(self._printed):
            rows -= max(-(-text.cell_len // size.width), 1)
            if rows < 0:
                break
            shown.appendleft(text)
        return list(shown)

    def _size(self) -> ConsoleDimensions:
        # COLUMNS and LINES of the environment may be those of another terminal, or of an earlier size.
        try:
            return ConsoleDimensions(*os.get_terminal_size(self._console.file.fileno()))
        except (OSError, ValueError):
            return self._console.size

    def _write(self, text: str) -> None:
        self._console.file.write(text)
        self._console.file.flush()
