"""How a verb ended, for programs: the last line of `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from kamal_dev.output.event import SCHEMA
from kamal_dev.output.failure import Failure
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class ContainerSummary:
    """Describe one container; `exit_code` counts where it has exited, `reason` and `log` where it failed."""

    service: str
    name: str
    image: str
    state: str
    id: str = ""
    health: str = ""
    exit_code: int = 0
    restarts: int = 0
    started: str = ""
    reason: str = ""
    log: str = ""


@dataclass(frozen=True)
class LifecycleSummary:
    """Describe a lifecycle command that failed; `stage` is its property in devcontainer.json."""

    stage: str
    name: str = ""
    command: str = ""
    exit_code: int = 0
    reason: str = ""
    log: str = ""


@dataclass(frozen=True)
class LeftoverSummary:
    """Name one piece that `dev prune` removes; `ok` is false where it stays, for `reason`."""

    kind: str
    name: str
    bytes: int = 0
    ok: bool = True
    reason: str = ""


@dataclass(frozen=True)
class StackSummary:
    """Say how a verb ended for one stack.

    `running` is the version that runs now, `containers` is what is there, `failed` what did not stay up.
    `window` is the part of `seconds` spent on waiting for services without a health check.
    """

    stack: str
    address: str
    state: str
    ok: bool
    running: str = ""
    containers: tuple[ContainerSummary, ...] = ()
    failed: tuple[ContainerSummary, ...] = ()
    lifecycle: tuple[LifecycleSummary, ...] = ()
    leftovers: tuple[LeftoverSummary, ...] = ()
    seconds: float = 0.0
    window: float = 0.0
    phases: Mapping[str, float] | None = None
    error: Failure | None = None


@dataclass(frozen=True)
class BranchSummary:
    """Describe a branch that `dev pull` made here; `since` is the commit that the host was sent."""

    path: str
    branch: str
    commit: str
    since: str
    summary: str


@dataclass(frozen=True)
class RunSummary:
    """Say how a verb ended; `error` sums up what failed, also before any stack was touched."""

    verb: str
    ok: bool
    exit_code: int
    version: str = ""
    seconds: float | None = None
    stacks: tuple[StackSummary, ...] = ()
    images: tuple[str, ...] = ()
    branches: tuple[BranchSummary, ...] = ()
    plan: Mapping[str, Any] | None = None
    hook: Failure | None = None
    error: Failure | None = None
    time: str = ""

    def as_json(self) -> Mapping[str, Any]:
        """Return the result as the last line of `--json`."""
        return {"type": "result", "schema": SCHEMA, **asdict(self)}


def taken(kind: type[Any], value: Any) -> Any:
    """Return a value of another row as one of `kind`: the fields of the same names."""
    names = {each.name for each in fields(kind)}
    return kind(**{name: item for name, item in asdict(value).items() if name in names})
