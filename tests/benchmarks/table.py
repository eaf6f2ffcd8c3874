"""What was measured, as text. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from tests.benchmarks.contenders import Time


@dataclass(frozen=True)
class Row:
    """One kind of deploy: the times of both, and the ratio of the medians that is wanted."""

    name: str
    dev: tuple[Time, ...]
    by_hand: tuple[Time, ...]
    target: float | None = None

    @property
    def ratio(self) -> float:
        """How much longer `dev deploy` takes."""
        return middle(self.dev) / middle(self.by_hand)

    @property
    def is_reached(self) -> bool:
        """Whether the target is, where there is one."""
        return self.target is None or self.ratio <= self.target

    def __str__(self) -> str:
        wanted = "" if self.target is None else f"{'✓' if self.is_reached else '✗'} at most {self.target:.2f}"
        times = f"{middle(self.dev):>9.2f}s {middle(self.by_hand):>9.2f}s {self.ratio:>7.2f}"
        work = f"{worked(self.dev):.2f} | {worked(self.by_hand):.2f}"
        return f"{self.name:<18}{times}   {wanted:<15} {work:<15} {spread(self.dev)} | {spread(self.by_hand)}"


HEAD = f"{'':<18}{'dev deploy':>10} {'by hand':>10} {'ratio':>7}   {'target':<15} {'CPU seconds':<15} each run"


def middle(times: Iterable[Time]) -> float:
    """The median."""
    return median(time.seconds for time in times)


def worked(times: Iterable[Time]) -> float:
    """The median of what a processor worked here; it says more than the clock on a machine that has other work."""
    return median(time.worked for time in times)


def spread(times: Iterable[Time]) -> str:
    """Every single time."""
    return " ".join(f"{time.seconds:.2f}" for time in times)
