"""Write lines prefixed with the name of a stack."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from kamal_dev.output import clean
from kamal_dev.output.log_view import COLOURS
from kamal_dev.output.redaction import Redaction


class StackLines:
    """Write lines of several stacks from any thread, without secrets and control characters."""

    def __init__(
        self, write: Callable[[str], object], redaction: Redaction, names: Iterable[str], *, has_colours: bool = False
    ) -> None:
        names = tuple(names)
        width = max(map(len, names), default=0)
        self._write = write
        self._redaction = redaction
        self._prefixes = {
            name: f"\x1b[{COLOURS[at % len(COLOURS)]}m{name:<{width}} | \x1b[0m"
            if has_colours
            else f"{name:<{width}} | "
            for at, name in enumerate(names)
        }
        self._lock = threading.Lock()

    def __call__(self, stack: str, line: str) -> None:
        """Write one line."""
        with self._lock:
            self._write(f"{self._prefixes[stack]}{clean(line, self._redaction)}\n")
