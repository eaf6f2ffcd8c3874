"""Receive events and pass them to a renderer. Decides nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Protocol

from kamal_dev.errors import DevError
from kamal_dev.output.event import Event, Phase, Status, Unit, now
from kamal_dev.output.printable import printable
from kamal_dev.output.redaction import Redaction

__all__ = ["Event", "Output", "Phase", "Status", "clean"]

LOUD = ("failed", "warning")


class Named(Protocol):
    """Anything with the name of a stack and the address of its host: a `model.Host`."""

    @property
    def name(self) -> str:
        """The name of the stack."""

    @property
    def address(self) -> str:
        """The address of its host, empty if it has none."""


class Output:
    """Receive events from any thread; secrets are removed by value before anyone sees them.

    `host` is the stack that an event is about, with its host, or only the name of the stack.
    """

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
        self._warned: set[str] = set()
        self.redaction = redaction or Redaction()

    def start(self, phase: Phase, subject: str = "", host: Named | str = "", **known: Any) -> None:
        """Start a phase; `done`, `skip` or `fail` with the same phase and host ends it."""
        self.emit(phase, "started", host, subject=subject, **known)

    def progress(
        self, phase: Phase, current: int, total: int | None, unit: Unit, host: Named | str = "", **known: Any
    ) -> None:
        """Report the progress of a phase."""
        self.emit(phase, "progress", host, current=current, total=total, unit=unit, **known)

    def done(self, phase: Phase, subject: str = "", host: Named | str = "", **known: Any) -> None:
        """End a phase successfully; `seconds` is its duration, `message` its result."""
        self.emit(phase, "done", host, subject=subject, **known)

    def skip(self, phase: Phase, subject: str = "", host: Named | str = "", **known: Any) -> None:
        """Report that a phase has nothing to do."""
        self.emit(phase, "skipped", host, subject=subject, **known)

    def fail(
        self, phase: Phase, error: DevError, host: Named | str = "", *, log: Iterable[str] = (), **known: Any
    ) -> None:
        """End a failed phase; `log` are the last lines of what failed."""
        # Imported only on a failure, to keep the start fast.
        from kamal_dev.output.failure import Failure

        failure = Failure.of(error)
        # Cleaned before it is split: a carriage return is removed, and does not end a line.
        message, *words = self.clean(failure.message).split("\n")
        self.emit(
            phase,
            "failed",
            host,
            message=message,
            category=failure.category,
            retryable=failure.retryable,
            hint=failure.hint,
            left_behind=failure.left_behind,
            log=(*words, *log),
            **known,
        )

    def info(self, message: str, host: Named | str = "", phase: Phase = "checking", **known: str) -> None:
        """Report what needs no action; `known` are further fields of the event, such as `hint`."""
        self.emit(phase, "info", host, message=message, **known)

    def warn(self, message: str, host: Named | str = "", phase: Phase = "checking", **known: str) -> None:
        """Report what the user should know and can act on; `known` are further fields of the event, such as `hint`."""
        self.emit(phase, "warning", host, message=message, **known)

    def warn_once(self, message: str, **known: Any) -> None:
        """Warn, unless the same warning was already given; `known` are further fields of the event."""
        with self._lock:
            is_new = message not in self._warned
            self._warned.add(message)
        if is_new:
            self.warn(message, **known)

    def line(self, phase: Phase, text: str, host: Named | str = "", **known: Any) -> None:
        """Pass on a line that a program printed; empty lines are dropped."""
        if text.strip():
            self.emit(phase, "output", host, message=text, **known)

    def step(self, text: str) -> None:
        """Show a command before it runs; with `--verbose` only."""
        if self._verbose:
            self.emit("checking", "step", message=text)

    def close(self) -> None:
        """Ignore all threads except the calling one from now on.

        When connections are closed, other threads fail, but that is not a failure of a host.
        """
        self._speaker = threading.get_ident()

    def clean(self, text: str) -> str:
        """Return `text` safe for a terminal: without secrets and control characters."""
        return clean(text, self.redaction)

    def emit(self, phase: Phase, status: Status, host: Named | str = "", **known: Any) -> None:
        """Pass one event to the renderer, without secrets and control characters."""
        if self._quiet and status not in LOUD:
            return
        stack, address = (host, "") if isinstance(host, str) else (host.name, host.address)
        event = self._cleaned(Event(phase, status, printable(stack), printable(address), **known))
        with self._lock:
            if self._speaker in (None, threading.get_ident()):
                self._show(replace(event, time=now()))

    def _cleaned(self, event: Event) -> Event:
        return replace(
            event,
            service=printable(event.service),
            subject=self._one_line(event.subject),
            message=self.clean(event.message) if event.status == "step" else self._one_line(event.message),
            hint=self._one_line(event.hint),
            left_behind=self._one_line(event.left_behind),
            log=tuple(map(self._one_line, event.log)),
        )

    def _one_line(self, text: str) -> str:
        # A message stays on one line: text after a newline could be mistaken for another message.
        return " ".join(self.clean(text).splitlines()) if text else text


def clean(text: str, redaction: Redaction) -> str:
    """Return `text` without the secrets that `redaction` knows, and without control characters."""
    # A secret may contain control characters itself, and may have been split by them.
    return redaction(printable(redaction(text)))
