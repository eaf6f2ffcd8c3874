"""How long `dev` waits: for a host that is at work (`--timeout`), and for a lock (`--lock-wait`)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager


class HostBudget:
    """Count the seconds that each host is worked on, builds here left out; endless without `seconds`."""

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds or math.inf
        self._spent: dict[str, float] = {}
        self._since: dict[str, float] = {}

    @contextmanager
    def counting(self, host: str) -> Iterator[None]:
        """Count what is done meanwhile."""
        self._since[host] = time.monotonic()
        try:
            yield
        finally:
            self._spent[host] = self._spent.get(host, 0.0) + time.monotonic() - self._since.pop(host)

    def remaining(self, host: str, at_most: float = math.inf) -> float:
        """Return the seconds that a host still has, but no more than `at_most`; zero or less once they are over."""
        now = time.monotonic()
        spent = self._spent.get(host, 0.0) + now - self._since.get(host, now)
        return min(self._seconds - spent, at_most)


class LockBudget:
    """Count how long a stack that another run changes is waited for, from the first time that it was found locked."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self._deadlines: dict[str, float] = {}

    def remaining(self, stack: str) -> float:
        """Return the seconds that are left; zero or less once they are over."""
        now = time.monotonic()
        return self._deadlines.setdefault(stack, now + self.seconds) - now
