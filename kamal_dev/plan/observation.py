"""What is known about the host of one stack before the plan: its answer, no answer, or no host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from kamal_dev.commands.facts import Facts
from kamal_dev.errors import DevError
from kamal_dev.model import Host
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Observation:
    """Hold the facts of a stack's host, or the `error` if it did not answer.

    `host` is None if none was created yet, and has no address if it is switched off; neither has facts. `inside` is
    what people run in the containers, by service, and `files` are the compose files of the current release, by path,
    if these were asked for.
    """

    stack: str
    host: Host | None = None
    facts: Facts | None = None
    error: DevError | None = None
    inside: tuple[tuple[str, str], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_missing(self) -> bool:
        """Whether the host was not created yet."""
        return self.host is None and self.error is None

    @property
    def is_off(self) -> bool:
        """Whether the host exists and is switched off."""
        return self.host is not None and not self.host.address and self.error is None

    @property
    def peer_address(self) -> str:
        """The address by which other hosts reach the host, empty if it has none."""
        return self.host.peer_address or self.host.address if self.host else ""

    @property
    def address(self) -> str:
        """The address of the host, empty if it has none."""
        return self.host.address if self.host else ""
