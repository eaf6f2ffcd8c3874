"""The lifetime section of config/dev.yml: when stacks end, and what becomes of them. Does no I/O."""

from __future__ import annotations

from kamal_dev.config.kinds import Choice, Text
from kamal_dev.config.options import option
from kamal_dev.model.lifetime import DURATION, NEVER, RULE
from kamal_dev.values import dataclass

STOP, REMOVE = "stop", "remove"
DURATION_OR_NEVER = Text(f"{NEVER}|{DURATION}", f"{RULE}, or `{NEVER}`", "a duration")


@dataclass(frozen=True)
class LifetimeConfig:
    """Hold the limits of a stack; empty means none."""

    ttl: str = option(
        DURATION_OR_NEVER,
        """How long a stack runs after its last deploy, such as `8h`, `90m` or `2d`. `dev deploy --ttl` and `dev extend`
        override it.""",
        default="",
        example="8h",
        otherwise="no limit",
    )
    idle: str = option(
        DURATION_OR_NEVER,
        "How long a stack runs while nobody uses it. `dev deploy --idle` and `dev extend --idle` override it.",
        default="",
        example="2h",
        otherwise="no limit",
    )
    then: str = option(
        Choice((STOP, REMOVE)),
        """What happens at the end. `stop`: like `dev stop`. `remove`: containers, volumes and workspace are removed; a
        stack with uncommitted or unpushed work is only stopped.""",
        default=STOP,
    )
