"""Show events as lines of text, for logs, pipes and CI."""

from __future__ import annotations

from contextlib import suppress
from typing import TextIO

from kamal_dev.output import Event

SYMBOLS = {"done": "✓ ", "failed": "✗ ", "warning": "! ", "hint": "hint: ", "line": "  ", "detail": "  ", "step": ""}
ASCII = str.maketrans({"✓": "+", "✗": "x", "…": "...", "→": "->"})


class Plain:
    """Write one line per event to a text stream; symbols become ASCII where the stream has no others."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write the event and flush, so that a reader of the pipe sees it at once."""
        text = render(event)
        # A reader that has gone, or a disk that is full, ends no deploy.
        with suppress(OSError):
            try:
                print(text, file=self._stream, flush=True)
            except UnicodeEncodeError:
                print(text.translate(ASCII).encode("ascii", "replace").decode(), file=self._stream, flush=True)


def render(event: Event) -> str:
    """Return the event as one line."""
    where = f"{event.host}: " if event.host else ""
    took = f" in {duration(event.seconds)}" if event.seconds is not None else ""
    return f"{SYMBOLS.get(event.kind, '')}{where}{event.text}{took}"


def duration(seconds: float) -> str:
    """Return seconds as people say them: `0.4s`, `12s`, `2m 05s`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


def long_duration(seconds: float) -> str:
    """Return seconds in the one or two largest units: `42s`, `5m`, `3h 12m`, `2d 4h`."""
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days}d {hours % 24}h"
    if hours:
        return f"{hours}h {minutes % 60}m"
    return f"{minutes}m" if minutes else f"{int(seconds)}s"
