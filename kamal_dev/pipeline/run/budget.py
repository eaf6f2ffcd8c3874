"""How long `dev` waits: for the work on a host (`--timeout`), and for a lock (`--lock-wait`)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager


class HostBudget:
    """Count the seconds spent on each host, without local builds; unlimited if `seconds` is None."""

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds or math.inf
        self._spent: dict[str, float] = {}
        self._since: dict[str, float] = {}

    @contextmanager
    def counting(self, host: str) -> Iterator[None]:
        """Count the time spent in the `with` block."""
        self._since[host] = time.monotonic()
        try:
            yield
        finally:
            self._spent[host] = self._spent.get(host, 0.0) + time.monotonic() - self._since.pop(host)

    def remaining(self, host: str, at_most: float = math.inf) -> float:
        """Return the seconds left for a host, at most `at_most`; zero or less if they are used up."""
        now = time.monotonic()
        spent = self._spent.get(host, 0.0) + now - self._since.get(host, now)
        return min(self._seconds - spent, at_most)


class LockBudget:
    """Count how long to wait for a locked stack, from the first time that it was found locked."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._deadlines: dict[str, float] = {}

    def remaining(self, stack: str) -> float:
        """Return the seconds left; zero or less if they are used up."""
        now = time.monotonic()
        return self._deadlines.setdefault(stack, now + self.seconds) - now
