"""What runs a stack on a host."""

from __future__ import annotations

from kamal_dev.values import dataclass


@dataclass(frozen=True)
class StackEngine:
    """Name an engine. With `is_degraded`, what it cannot do is left out with a warning instead of an error."""

    name: str = "compose"
    is_degraded: bool = False

    @property
    def is_swarm(self) -> bool:
        """Whether Docker Swarm runs the stack, by `docker stack deploy`."""
        return self.name == SWARM_STACK


SWARM_STACK = "swarm-stack"
ENGINES = ("compose", SWARM_STACK)
COMPOSE = StackEngine()
