"""The answers of hosts about stacks, releases and containers, as values. Does no I/O; `answers` parses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from kamal_dev.commands.facts import CurrentRelease, Facts, FailedChange, Lock
from kamal_dev.model import Container, Lifetime
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Usage:
    """Describe what a container uses: `cpu` in percent of one processor, `cpu_seconds` in all, `memory` in bytes."""

    id: str
    cpu: float = 0
    cpu_seconds: float = 0
    memory: int | None = None


@dataclass(frozen=True)
class MountedVolume:
    """Describe a volume that a container mounts, named by its id; `bytes` is None where it was not measured."""

    name: str
    container: str
    bytes: int | None = None


@dataclass(frozen=True)
class StackState:
    """Describe a stack, as judged by its host: `state` is one of those in `host/observe.sh`.

    `last` is how the last change ended, if it failed; `allotted` are ports of the host, as `name port`;
    `lifetime` is None without a limit; `usage` and `volumes` are empty unless asked for.
    """

    stack: str
    state: str = ""
    reason: str = ""
    release: CurrentRelease | None = None
    lock: Lock | None = None
    last: FailedChange | None = None
    allotted: tuple[str, ...] = ()
    lifetime: Lifetime | None = None
    containers: tuple[Container, ...] = ()
    usage: tuple[Usage, ...] = ()
    volumes: tuple[MountedVolume, ...] = ()


@dataclass(frozen=True)
class KeptRelease:
    """Describe one release that a host keeps of a stack.

    `performer` deployed it last, `at` (UTC). `good` if it was healthy and its lifecycle commands ran the last time it
    came up. `state` is how its last deploy or rollback ended, as in `ScriptResult`, empty if it never did. `missing`
    are its images that the host no longer has. `is_last_good`: a failed deploy returns to it; `is_before`: a rollback
    without a version returns to it.
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
    """Name one piece that deploys left behind; `bytes` is the space that removing it frees.

    `kind` is `release`, `image`, `unfinished` (an incomplete release) or `run`.
    """

    kind: str
    name: str
    bytes: int = 0
    ok: bool = True
    reason: str = ""


@dataclass(frozen=True)
class RunningContainer:
    """Describe the running container for a command.

    `state` is Docker's; `pid` is its first process, 0 if none runs; `user` and `environment` are its own. `metadata`
    is the label `devcontainer.metadata` of its image. `direct`: the user on the host can use Docker without sudo;
    `socket` is the engine's, empty if docker finds it automatically; `stopped`: services of the stack were stopped on
    purpose.
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
class ReleaseManifest:
    """Hold the text of the manifest of a stack's current release."""

    stack: str
    text: str = field(default="", repr=False)


@dataclass(frozen=True)
class Inside:
    """Name what people run in the container of a service."""

    service: str
    inside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Contents:
    """Hold the compose files of the current release of a stack, by path, and what people run in its containers."""

    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    inside: tuple[Inside, ...] = ()


@dataclass(frozen=True)
class About:
    """Announce that the events that follow are about a stack."""

    stack: str


@dataclass(frozen=True)
class Claim:
    """Name the host that may create a new stack: the one that was claimed first."""

    stack: str
    host: str


@dataclass(frozen=True)
class Allotted:
    """Name the ports of a host that a stack has, as `name port`."""

    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class PartSize:
    """Name a part of a stack, `volumes/KEY` or `workspace`, and the space that it takes.

    `plain`: its files are in a folder of the host that only the engine knows. `services` have mounted a volume.
    """

    name: str
    bytes: int = 0
    plain: bool = True
    services: tuple[str, ...] = ()


@dataclass(frozen=True)
class Inventory:
    """Describe what a stack has: its current `release`, whether that is `good`, and its images.

    `services` are all that it starts, `running` those that run now; `ports` are those of the host, as `name port`.
    """

    release: str
    version: str = ""
    good: bool = False
    images: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    running: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    parts: tuple[PartSize, ...] = ()

    @property
    def size(self) -> int:
        """The bytes of all parts."""
        return sum(part.bytes for part in self.parts)


@dataclass(frozen=True)
class Survey:
    """Describe what is on a host: all its stacks, and its size in bytes.

    `leaving` are the stacks that are being moved to another host, or were. `named` has `STACK SERVICE` for each named
    stack, because its name does not tell which project it belongs to.
    `facts` are those of the stacks that were asked for and are there, `contents` what is in them, if that was asked;
    `manifests` are those of the named stacks of a project, if that was asked.
    """

    stacks: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    memory: int = 0
    cpus: int = 0
    disk_free: int = 0
    facts: Mapping[str, Facts] = field(default_factory=dict)
    contents: Mapping[str, Contents] = field(default_factory=dict)
    manifests: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
