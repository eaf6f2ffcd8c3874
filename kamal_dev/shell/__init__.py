"""Run steps on this machine, on a host, or on paper. This is the seam that tests may fake."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from kamal_dev.model import Result, Step

OnLine = Callable[[str], None]


class Shell(Protocol):
    """Run one step and return its result. A failing exit code is a result, not an exception."""

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Run `step`, calling `on_line` for each line of both streams as it arrives.

        `timeout` is in seconds. `feed` streams chunks to stdin instead of `step.stdin`.
        """
        ...


@runtime_checkable
class Receiver(Protocol):
    """A shell that can pass on binary output."""

    def receive(
        self, step: Step, take: Callable[[bytes], object], *, feed: Iterable[bytes], timeout: float | None = None
    ) -> Result:
        """Run `step`; its stdout is passed to `take` and is not part of the result."""
        ...


class Tunnel(Protocol):
    """A port of a host that is forwarded to this machine."""

    @property
    def is_open(self) -> bool:
        """Whether it is still open; it ends with the connection to the host."""
        ...


@runtime_checkable
class Lender(Protocol):
    """A shell whose host can be given access to ports of this machine."""

    def lend(self, port: int) -> Tunnel:
        """Forward `port` of the host to the same port here. Raises HostError."""
        ...


@runtime_checkable
class Connecting(Protocol):
    """A shell that can connect to its host before its first step, and stays connected for the next run."""

    def connect(self) -> None:
        """Start to connect in the background; the first step raises why it failed."""
        ...

    def end_with_run(self) -> None:
        """Log in again in the next run."""
        ...
