"""The placement section of config/dev.yml: how stacks are distributed over hosts."""

from __future__ import annotations

from kamal_dev.config.kinds import Choice, Whole
from kamal_dev.config.options import option, section
from kamal_dev.config.provider import CPUS, MEMORY
from kamal_dev.values import dataclass

MAX_PER_HOST = 500
SPREAD, PACK = "spread", "pack"


@dataclass(frozen=True)
class Require:
    """Hold what each stack needs from its host; empty means nothing."""

    memory: str = option(MEMORY, "Memory of the host for each stack.", default="", example="4g", otherwise="any")
    cpus: str = option(CPUS, "CPUs of the host for each stack.", default="", example="0.5", otherwise="any")
    disk: str = option(MEMORY, "Free disk space for a new stack.", default="", example="10g", otherwise="any")


@dataclass(frozen=True)
class PlacementConfig:
    """Hold how many stacks a host takes, and which host a new stack gets."""

    per_host: int = option(
        Whole(1, MAX_PER_HOST),
        """Maximum number of stacks on a host, including those of other projects under the same login. With 1, the n-th
        stack runs on the n-th host. With more, a stack stays on the host where it is found.""",
        default=1,
    )
    by: str = option(
        Choice((SPREAD, PACK)),
        "Which host a new stack gets. `spread`: the one with the fewest stacks. `pack`: the one with the most.",
        default=SPREAD,
    )
    require: Require = section(Require, "What each stack needs from its host.")
