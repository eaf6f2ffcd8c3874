"""The result of a verb, for programs: the last line of `--json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from kamal_dev.output.event import SCHEMA
from kamal_dev.output.failure import Failure
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class ContainerSummary:
    """Describe one container; `exit_code` is set if it has exited, `reason` and `log` if it failed."""

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
    """Describe one piece that `dev prune` removes; `ok` is false if it could not be removed, for `reason`."""

    kind: str
    name: str
    bytes: int = 0
    ok: bool = True
    reason: str = ""


@dataclass(frozen=True)
class StackSummary:
    """Hold how a verb ended for one stack.

    `running` is the version that runs now, `containers` are all containers, `failed` those that did not stay up.
    `window` is the part of `seconds` spent waiting for services without a health check.
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
    """Describe a branch that `dev pull` fetched; `since` is the commit that the host was sent."""

    path: str
    branch: str
    commit: str
    since: str
    summary: str


@dataclass(frozen=True)
class BackupPartSummary:
    """Describe a volume (`volumes/KEY`) or the `workspace` in a backup."""

    name: str
    bytes: int
    files: int
    sha256: str


@dataclass(frozen=True)
class BackupSummary:
    """Describe a backup that `dev backup` wrote or `dev restore` read; `bytes` is the size of the file."""

    file: str
    bytes: int
    stack: str
    service: str
    version: str
    created_at: str
    parts: tuple[BackupPartSummary, ...] = ()


@dataclass(frozen=True)
class RunSummary:
    """Hold how a verb ended; `error` sums up the failures, including those before any stack was touched."""

    verb: str
    ok: bool
    exit_code: int
    version: str = ""
    seconds: float | None = None
    stacks: tuple[StackSummary, ...] = ()
    images: tuple[str, ...] = ()
    branches: tuple[BranchSummary, ...] = ()
    backup: BackupSummary | None = None
    plan: Mapping[str, Any] | None = None
    hook: Failure | None = None
    error: Failure | None = None
    time: str = ""

    def as_json(self) -> Mapping[str, Any]:
        """Return the result as the last line of `--json`."""
        return {"type": "result", "schema": SCHEMA, **asdict(self)}


def taken(kind: type[Any], value: Any) -> Any:
    """Convert a value of another layer to `kind` by copying the fields of the same names."""
    names = {each.name for each in fields(kind)}
    return kind(**{name: item for name, item in asdict(value).items() if name in names})
