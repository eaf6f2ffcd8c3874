"""What hosts say of their stacks, releases and containers, as values. Asks no host; `answers` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from kamal_dev.commands.facts import CurrentRelease, FailedChange, Lock
from kamal_dev.model import Container
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class StackState:
    """Describe a stack on a host, as the host judges it: `state` is one of those in `host/observe.sh`.

    `last` is how the last change of it ended, where that failed.
    """

    stack: str
    state: str = ""
    reason: str = ""
    release: CurrentRelease | None = None
    lock: Lock | None = None
    last: FailedChange | None = None
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True)
class KeptRelease:
    """Describe one release that a host keeps of a stack.

    `performer` deployed it last, `at` (UTC). `good` when it was healthy and its lifecycle commands ran through, when
    it came up last. `state` says how its last deploy or rollback ended, as in `ScriptResult`, empty where it never did.
    `missing` are those of its images that the host has no longer. `is_last_good`: a deploy that fails goes back to it;
    `is_before`: a rollback does that names no version.
    """

    stack: str
    id: str
    version: str = ""
    commit: str = ""
    performer: str = ""
    at: str = ""
    good: bool = False
    state: str = ""
    phase: str = ""
    reason: str = ""
    missing: tuple[str, ...] = ()
    is_current: bool = False
    is_last_good: bool = False
    is_before: bool = False


@dataclass(frozen=True)
class Leftover:
    """Name one piece that deploys have left over; `bytes` is what goes with it, as far as nothing else has it too.

    `kind` is `release`, `image`, `unfinished` (a release that was never complete) or `run`.
    """

    kind: str
    name: str
    bytes: int = 0
    ok: bool = True
    reason: str = ""


@dataclass(frozen=True)
class RunningContainer:
    """Describe the container that a command is to run in.

    `state` is Docker's; `pid` that of its first process, 0 where none runs; `user` and
    `environment` are its own. `metadata` is the label `devcontainer.metadata` of its image.
    `direct`: the login on the host may use Docker without sudo; `socket` is where its engine is, empty where docker
    finds it automatically; `stopped`: services of the stack were stopped on purpose.
    """

    id: str
    name: str
    image: str
    state: str
    pid: int = 0
    user: str = ""
    environment: tuple[str, ...] = field(default=(), repr=False)
    metadata: str = field(default="", repr=False)
    direct: bool = True
    socket: str = ""
    stopped: bool = False


@dataclass(frozen=True)
class ReleaseFile:
    """Hold a compose file of the current release; `path` is relative to the release."""

    path: str
    content: str = field(default="", repr=False)


@dataclass(frozen=True)
class Inside:
    """Name what people run in the container of a service."""

    service: str
    inside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """Hold what the current release of a stack has in its compose files, by path, and who is in its containers."""

    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    inside: tuple[Inside, ...] = ()
