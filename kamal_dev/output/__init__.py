"""Tell what happens, as events. Renderers show them; nothing here decides anything."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from kamal_dev.output.printable import printable
from kamal_dev.output.redaction import Redaction

Kind = Literal["start", "line", "done", "failed", "detail", "warning", "hint", "step", "note"]
LOUD = ("failed", "detail", "warning", "hint")


@dataclass(frozen=True)
class Event:
    """Say one thing: `text` is one line; `host` names whom it is about, empty for this machine.

    `start` begins what a later `done` or `failed` with the same host ends;
    `seconds` is its duration. `line` is output of a command as it comes, `step`
    the command itself.
    """

    kind: Kind
    text: str
    host: str = ""
    seconds: float | None = None


class Output:
    """Receive events from any thread; secrets are removed by value before anyone sees them."""

    def __init__(
        self,
        show: Callable[[Event], None],
        *,
        redaction: Redaction | None = None,
        verbose: bool = False,
        quiet: bool = False,
    ) -> None:
        self._show = show
        self._verbose = verbose
        self._quiet = quiet
        self._lock = threading.Lock()
        self._speaker: int | None = None
        self.redaction = redaction or Redaction()

    def start(self, text: str, host: str = "") -> None:
        """Say what is being done now, in the present participle."""
        self._emit(Event("start", text, host))

    def done(self, text: str, host: str = "", seconds: float | None = None) -> None:
        """Say what was done, in the past."""
        self._emit(Event("done", text, host, seconds))

    def failed(self, text: str, host: str = "") -> None:
        """Say what failed."""
        self._emit(Event("failed", text, host))

    def warn(self, text: str) -> None:
        """Say what the user should know and can act on."""
        self._emit(Event("warning", text))

    def hint(self, text: str) -> None:
        """Say what to do next."""
        self._emit(Event("hint", text))

    def note(self, text: str, host: str = "") -> None:
        """Say what is so, and needs no action."""
        self._emit(Event("note", text, host))

    def line(self, text: str, host: str = "") -> None:
        """Pass on a line that a command printed; empty ones only space it out."""
        if text.strip():
            self._emit(Event("line", text, host))

    def step(self, text: str) -> None:
        """Show a command before it runs; with `--verbose` only."""
        if self._verbose:
            self._emit(Event("step", text))

    def details(self, texts: Iterable[str], host: str = "") -> None:
        """Say what belongs to a failure: last words, what is left behind."""
        for text in texts:
            self._emit(Event("detail", text, host))

    def close(self) -> None:
        """Hear only the calling thread from now on.

        What others meet when connections are closed under them is no failure of a host.
        """
        self._speaker = threading.get_ident()

    def clean(self, text: str) -> str:
        """Return `text` as a terminal may have it: without secrets, and without control characters."""
        return clean(text, self.redaction)

    def _emit(self, event: Event) -> None:
        if self._quiet and event.kind not in LOUD:
            return
        # A line is one line: what follows a newline could pass for another message.
        text = self.clean(event.text) if event.kind == "step" else " ".join(self.clean(event.text).splitlines())
        clean = Event(event.kind, text, printable(event.host), event.seconds)
        with self._lock:
            if self._speaker in (None, threading.get_ident()):
                self._show(clean)


def clean(text: str, redaction: Redaction) -> str:
    """Return `text` without the secrets that `redaction` knows, and without control characters."""
    # A value may have such characters itself, and may have been taken apart by them.
    return redaction(printable(redaction(text)))
