"""The ports section of config/dev.yml: which ports of a host stacks get that share it."""

from __future__ import annotations

from kamal_dev.config.kinds import Whole
from kamal_dev.config.options import option
from kamal_dev.config.provider import PORT
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class PortRange:
    """Hold the ports of a host that are allotted to stacks."""

    first: int = option(PORT, "First port.", default=20000)
    last: int = option(PORT, "Last port.", default=29999)
    per_stack: int = option(
        Whole(0, 1000),
        """Number of ports for each stack: the n-th stack gets those from `first` + (n - 1) x `per_stack`. With 0, a
        stack gets any free ports between `first` and `last`.""",
        default=0,
    )

    def of(self, index: int) -> tuple[int, int]:
        """Return the first and the last port of a stack, counted from 1."""
        if not self.per_stack:
            return self.first, self.last
        first = self.first + (index - 1) * self.per_stack
        return first, min(first + self.per_stack - 1, self.last)
