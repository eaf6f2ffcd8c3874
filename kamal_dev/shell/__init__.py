"""Run steps: on this machine, on a host, or on paper. The seam that tests may fake."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from kamal_dev.model import Result, Step

OnLine = Callable[[str], None]


class Shell(Protocol):
    """Run one step and say how it ended. A failing exit code is a result, no exception."""

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Run `step`, calling `on_line` for each line of both streams as it comes.

        `timeout` is in seconds. `feed` streams chunks to stdin in place of `step.stdin`.
        """
        ...


@runtime_checkable
class Receiver(Protocol):
    """Be a shell that hands on what is no text."""

    def receive(
        self, step: Step, take: Callable[[bytes], object], *, feed: Iterable[bytes], timeout: float | None = None
    ) -> Result:
        """Run `step`; its stdout goes to `take`, and is not in the result."""
        ...


class Tunnel(Protocol):
    """Be a port of a host that leads to this machine."""

    @property
    def is_open(self) -> bool:
        """Whether it still does; it ends with the connection to the host."""
        ...


@runtime_checkable
class Lender(Protocol):
    """Be a shell whose host may use ports of this machine."""

    def lend(self, port: int) -> Tunnel:
        """Let `port` of the host lead to the same port here. Raises HostError."""
        ...
