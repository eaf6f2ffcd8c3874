"""What the scripts on a host report while they run, as values: one class per type of event. `answers` reads them."""

from __future__ import annotations

from dataclasses import field

from kamal_dev.commands.facts import Facts
from kamal_dev.commands.stacks import Inside, KeptRelease, Leftover, ReleaseFile, RunningContainer, StackState
from kamal_dev.model import Container
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Phase:
    """Announce a phase of a script; `seconds` is set once it is over."""

    name: str
    seconds: float | None = None


@dataclass(frozen=True)
class Log:
    """Tell what a script is doing."""

    text: str


@dataclass(frozen=True)
class Pulled:
    """Say whether an image arrived, and the platform that it is made for."""

    image: str
    ok: bool = False
    seconds: float = 0.0
    reason: str = ""
    platform: str = ""


@dataclass(frozen=True)
class Replace:
    """Tell before a container goes that another takes its place.

    `parts` are what it is made of that changed, as `compose.parts` names them, or `recreate` where that was asked
    for, or `removed` where none takes its place; `inside` is what people run in it.
    """

    service: str
    parts: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lifecycle:
    """Name a lifecycle command that failed; `log` holds its last lines, `name` is set where a stage has several.

    `stage` is its property in devcontainer.json, as `postCreateCommand`.
    """

    stage: str
    name: str = ""
    command: str = ""
    exit_code: int = 0
    reason: str = ""
    log: str = ""


@dataclass(frozen=True)
class Heartbeat:
    """Show that a silent run is alive."""


@dataclass(frozen=True)
class ScriptResult:
    """Say how a script ended.

    `state` of an apply or a rollback: `same`, `new`, `untouched` (nothing was changed), `restored`, `stopped` (a failed
    first release, kept for inspection), `failed` (the failed release was left in place), `rollback_failed`,
    `unfinished` (the release runs, a lifecycle command failed), `interrupted` (the script was ended between two
    releases), `unknown` if no answer came.
    `containers` is what is there now, `failed` what did not stay up, with reason and log, `lifecycle` the
    lifecycle commands that failed. `code` of an apply: `disk` where images have no room, `networks` where
    no addresses are left for a network, `removed` where the source is gone; of a bootstrap: `system`,
    `privilege`, `packages`, `network`, `daemon`,
    `compose`. `observed_ms` is the time spent on nothing but the window. `facts` are those that were asked for with it.
    """

    ok: bool = False
    state: str = ""
    phase: str = ""
    reason: str = ""
    stack: str = ""
    release: str = ""
    version: str = ""
    previous: str = ""
    current: str = ""
    restored: bool = False
    observed_ms: int = 0
    code: str = ""
    changed: bool = False
    engine: str = ""
    compose: str = ""
    removed: bool = False
    backup: str = ""
    kept: tuple[str, ...] = ()
    facts: Facts | None = None
    containers: tuple[Container, ...] = ()
    failed: tuple[Container, ...] = ()
    images: tuple[Pulled, ...] = ()
    lifecycle: tuple[Lifecycle, ...] = ()
    phases: tuple[Phase, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return self.ok


Event = (
    Facts
    | Container
    | Phase
    | Log
    | Pulled
    | Replace
    | Lifecycle
    | ReleaseFile
    | Inside
    | Heartbeat
    | StackState
    | KeptRelease
    | Leftover
    | RunningContainer
    | ScriptResult
)
