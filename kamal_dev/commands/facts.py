"""The facts of a host and of one stack on it, as values. Does no I/O; `answers` parses them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from kamal_dev.model import Container, Image, ImageConfig, Lifetime, familiar
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

Record = Mapping[str, Any]  # what a workspace was sent, see `project.snapshot`; or an audit log entry
MINIMAL_COMPOSE = (2, 24, 4)

NO_ALERTS = "there are no alerts, and `postStartCommand` does not run after a reboot"
_TAG = pattern(r":[^:/]*$")


@dataclass(frozen=True)
class CurrentRelease:
    """Describe the current release of a stack; `good` if it was healthy and its lifecycle commands have run.

    `ref` names the source of a named stack, see `project.SourceOrigin`, and `service` its project.
    """

    id: str
    digest: str = ""
    version: str = ""
    good: bool = False
    ref: str = ""
    service: str = ""


@dataclass(frozen=True)
class Lock:
    """Hold the owner of a stack's lock: `word` is the verb, `since` UTC, `token` the run to attach to.

    `state` is `held`, `stale` (the owner is alive but hangs: it may be stopped) or `dead`, in which case the next
    process replaces it. `age` is the number of seconds since the owner was last active; `version` and `release` are
    what it works on, empty if unknown.
    """

    pid: int
    since: str = ""
    word: str = ""
    token: str = ""
    state: str = "held"
    by: str = ""
    version: str = ""
    release: str = ""
    age: int = 0

    @property
    def is_alive(self) -> bool:
        """Whether its owner is alive, so that nobody else can get it."""
        return self.state != "dead"

    def __str__(self) -> str:
        return f"{self.by or 'somebody'} (`{self.word}` since {self.since}, process {self.pid} on the host)"


@dataclass(frozen=True)
class HeldImage:
    """Describe an image on a host; `names` are its id, its `name:tag`s and its `name@digest`s.

    `platform` is like `linux/amd64`, empty if the host did not say.
    """

    names: tuple[str, ...]
    config: ImageConfig
    platform: str = ""


@dataclass(frozen=True)
class PortConflict:
    """Name the holder of a port, `address:port/protocol`, that a release publishes."""

    port: str
    holder: str


@dataclass(frozen=True)
class FailedChange:
    """Describe the last change of a stack if it failed; `state` is the one of its `ScriptResult`."""

    state: str = ""
    phase: str = ""
    reason: str = ""
    version: str = ""


@dataclass(frozen=True)
class Facts:
    """Describe a host and one stack on it.

    `privilege` is `root`, `sudo`, `password` (sudo that asks for one) or `none`; `arch` is
    Docker's word (`amd64`); `engine` and `compose` are versions, empty if they are missing or do not
    answer; `has_engine` says whether the program is installed, `daemon` whether an engine answers,
    `trouble` why none does, `engine_address` is the socket or context chosen by the login, empty for the
    system's engine; `disk_free`, `disk` (the total; where Docker stores images), `home_free` (of the
    home folder) and `memory` are bytes; `gpu` says whether there is a GPU with NVIDIA's driver.
    `emulates` are the processors that are emulated, named like `arch`.
    `intact`: the current release is good, all its containers are in the state they had then, and all
    lifecycle commands have run. `last` is how the last change ended, if it failed.
    `images` are the requested images that exist.
    `underway` is `backup` or `restore` if one was interrupted.
    `workspace` are the non-empty folders of the workspace, `source` is the record of what was last
    sent, `offered` of what was not applied because of changes.
    `foreign` is the folder from which a compose project with the stack's name was started, if that is elsewhere.
    `lacks` names required programs (and features of them) that the host lacks.
    `unwritable` is the reason if nothing can be written in the home folder.
    `clashes` are the requested ports that somebody else holds.
    `parts` are the parts of the current release's containers, as written by `compose.parts`.
    `allotted` are the ports of the host that the stack has, as `name port`.
    `lacks_pools`: the engine has its default address pools only, and they can be extended (see host/pools.sh).
    `lifetime` is None if the stack has none.
    `watcher` is the version of the watcher, `missing` if none runs, or empty if the host cannot have one (no systemd).
    """

    user: str = ""
    home: str = ""
    privilege: str = "none"
    os: str = ""
    os_version: str = ""
    arch: str = ""
    engine: str = ""
    compose: str = ""
    daemon: bool = False
    has_engine: bool = False
    trouble: str = ""
    engine_address: str = ""
    disk_free: int = 0
    disk: int = 0
    home_free: int = 0
    memory: int = 0
    cpus: int = 0
    gpu: bool = False
    emulates: tuple[str, ...] = ()
    release: CurrentRelease | None = None
    intact: bool = False
    lock: Lock | None = None
    last: FailedChange | None = None
    underway: str = ""
    workspace: tuple[str, ...] = ()
    source: Record | None = None
    offered: Record | None = None
    foreign: str = ""
    images: tuple[HeldImage, ...] = ()
    clashes: tuple[PortConflict, ...] = ()
    containers: tuple[Container, ...] = ()
    lacks: tuple[str, ...] = ()
    unwritable: str = ""
    parts: str = field(default="", repr=False)
    watcher: str = ""
    allotted: tuple[str, ...] = ()
    lacks_pools: bool = False
    lifetime: Lifetime | None = None

    @property
    def host_ports(self) -> dict[str, int]:
        """The ports of the host that the stack has, by their names in `Release.published`."""
        return host_ports(self.allotted)

    def has(self, image: Image) -> bool:
        """Return whether the host has exactly this image, under the name that a release uses."""
        return self.held(image.pinned) is not None

    def held(self, reference: str) -> HeldImage | None:
        """Return an image by the name that users write; None if the host lacks it."""
        wanted = familiar(reference)
        name, at, digest = wanted.partition("@")
        if at:
            wanted = f"{_TAG.sub('', name)}@{digest}"
        return next((held for held in self.images if wanted in held.names), None)

    def held_of(self, name: str) -> HeldImage | None:
        """Return an image on the host by its name without tag and digest."""
        wanted = familiar(f"{name}@").rstrip("@")
        return next((held for held in self.images if any(_bare(own) == wanted for own in held.names)), None)

    def needs_watcher(self, version: str) -> bool:
        """Return whether this version of the watcher has to be installed, and can be."""
        return bool(version and self.watcher) and self.watcher != version and self.privilege in ("root", "sudo")

    @property
    def needs_pools(self) -> bool:
        """Return whether a host that stacks share needs more address pools, and this login can add them."""
        return self.lacks_pools and self.privilege in ("root", "sudo")

    @property
    def unwatched(self) -> str:
        """Why the host has no watcher and cannot get one; empty if it has one, or the next deploy installs it."""
        if not self.watcher:
            return f"without systemd {NO_ALERTS}"
        if self.watcher == "missing" and self.privilege not in ("root", "sudo"):
            return f"the watcher requires root, or sudo without a password: without it {NO_ALERTS}"
        return ""

    @property
    def is_ready(self) -> bool:
        """Whether the host needs no bootstrap."""
        return self.daemon and numbers_of(self.compose) >= MINIMAL_COMPOSE


def host_ports(allotted: Iterable[str]) -> dict[str, int]:
    """Return ports by name; what is not a port is left out."""
    pairs = (line.rpartition(" ") for line in allotted)
    return {name: int(port) for name, _, port in pairs if name and re.fullmatch("[1-9][0-9]{0,4}", port)}


def _bare(reference: str) -> str:
    """Return a familiar name without tag and digest."""
    return _TAG.sub("", familiar(reference).partition("@")[0])


def words(version: tuple[int, ...]) -> str:
    """Return a version in the usual notation: `2.24.4`."""
    return ".".join(map(str, version))


def numbers_of(text: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version: `2.26.1-4` gives (2, 26, 1)."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, match[1].split("."))) if match else ()
