"""The events that host scripts print, as values: one class per type of event. `answers` parses them."""

from __future__ import annotations

from dataclasses import field

from kamal_dev.commands.facts import Facts
from kamal_dev.commands.nodes import SwarmMember, SwarmNode
from kamal_dev.commands.stacks import (
    About,
    Allotted,
    Claim,
    Inside,
    Inventory,
    KeptRelease,
    Leftover,
    MountedVolume,
    PartSize,
    ReleaseFile,
    ReleaseManifest,
    RunningContainer,
    StackState,
    Survey,
    Usage,
)
from kamal_dev.model import Container
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Phase:
    """Announce a phase of a script; `seconds` is set once it is over."""

    name: str
    seconds: float | None = None


@dataclass(frozen=True)
class Log:
    """Report what a script is doing."""

    text: str


@dataclass(frozen=True)
class Pulled:
    """Report whether an image was pulled, and its platform."""

    image: str
    ok: bool = False
    seconds: float = 0.0
    reason: str = ""
    platform: str = ""


@dataclass(frozen=True)
class Arrived:
    """Report how many bytes of the pulled images have arrived; `total` is None while the size of a layer is unknown."""

    current: int
    total: int | None = None


@dataclass(frozen=True)
class Replace:
    """Report that a container is about to be replaced.

    `parts` are its changed parts, as `compose.parts` names them, or `recreate` if requested, or `removed` if it is
    not replaced; `inside` is what people run in it.
    """

    service: str
    parts: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lifecycle:
    """Report a failed lifecycle command; `log` has its last lines, `name` is set if a stage has several commands.

    `stage` is its property in devcontainer.json, such as `postCreateCommand`.
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
    """Hold how a script ended.

    `state` of an apply or a rollback: `same`, `new`, `untouched` (nothing was changed), `restored`, `stopped` (a
    failed first release, kept for inspection), `failed` (the failed release was left in place), `rollback_failed`,
    `unfinished` (the release runs, a lifecycle command failed), `interrupted` (the script ended between two
    releases), `unknown` if there was no answer. `containers` are the current containers, `failed` those that did not
    stay up, with reason and log, `lifecycle` the failed lifecycle commands. `code` of an apply: `disk` if there is no
    space for images, `networks` if no addresses are left for a network, `removed` if the source is gone; of a
    bootstrap: `system`, `privilege`, `packages`, `network`, `daemon`, `compose`. `observed_ms` is the time spent
    waiting only for the window. `destination` is the host that a stack is
    being moved to. `facts` are the facts that were requested with it.
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
    destination: str = ""
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
    | Arrived
    | Replace
    | Lifecycle
    | ReleaseFile
    | ReleaseManifest
    | Inside
    | Inventory
    | PartSize
    | Heartbeat
    | StackState
    | About
    | Allotted
    | Claim
    | Survey
    | SwarmMember
    | SwarmNode
    | Usage
    | MountedVolume
    | KeptRelease
    | Leftover
    | RunningContainer
    | ScriptResult
)
