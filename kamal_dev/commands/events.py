"""What the scripts on a host tell, as values: one class per type of event. Asks no host; `answers` reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kamal_dev.model import Container, Image, ImageConfig, familiar

Record = Mapping[str, Any]  # what a workspace was sent, as `project.snapshot` describes it; or a line of the audit log
MINIMAL_COMPOSE = (2, 24, 4)

_TAG = re.compile(r":[^:/]*$")


@dataclass(frozen=True)
class Current:
    """Describe the release that a stack has; `good` when it was healthy and its lifecycle commands ran through."""

    id: str
    digest: str = ""
    version: str = ""
    good: bool = False


@dataclass(frozen=True)
class Lock:
    """Say who has the lock of a stack: `word` is the verb, `since` UTC, `token` the run to attach to.

    `state` is `held`, `stale` (its owner lives but does not move: it may be stopped) or `dead`; a
    dead owner's is taken over by the next process. `age` is seconds since the owner was last
    seen at work; `version` and `release` are those it is about, empty where that is not known.
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
        """Whether its owner lives, so nobody else gets it."""
        return self.state != "dead"

    def __str__(self) -> str:
        return f"{self.by or 'somebody'} (`{self.word}` since {self.since}, process {self.pid} on the host)"


@dataclass(frozen=True)
class Held:
    """Describe an image that a host has; `names` are its id, its `name:tag`s and its `name@digest`s.

    `platform` is what it is made for (`linux/amd64`), empty where the host did not say.
    """

    names: tuple[str, ...]
    config: ImageConfig
    platform: str = ""


@dataclass(frozen=True)
class Clash:
    """Say who holds a port, `address:port/protocol`, that a release publishes."""

    port: str
    holder: str


@dataclass(frozen=True)
class Facts:
    """Describe a host and one stack on it.

    `privilege` is `root`, `sudo`, `password` (sudo that asks for one) or `none`; `arch` is
    Docker's word (`amd64`); `engine` and `compose` are versions, empty where they are
    missing or silent; `has_engine` says whether the program is there, `daemon` whether an
    engine answers, `trouble` why none does, `engine_address` the socket or context that the login chose
    itself, empty for the engine of the system; `disk_free`, `disk` (all of it; where Docker
    keeps images), `home_free` (of the home folder) and `memory` are bytes; `gpu` whether there
    is one that NVIDIA's driver knows.
    `emulates` are the other processors whose programs it runs, as `arch` names them.
    `stands`: the current release is good, all its containers are as they were then, and no
    lifecycle command is left to be run. `last` is how the last change ended, where that failed.
    `images` has those of the references asked for that are there.
    `workspace` are the folders of the workspace that have something in them, `source` the
    record of what was sent there last, `offered` of what was not taken because of changes.
    `foreign` is where a compose project of the stack's name was started from, if that is elsewhere.
    `lacks` names the programs, and what they must be able to do, that the scripts need and the host has not.
    `unwritable` says why nothing can be written in the home folder, where that is so.
    `clashes` are the ports asked for that somebody else holds.
    `parts` is what the containers of the current release are made of, as `compose.parts` wrote it.
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
    release: Current | None = None
    stands: bool = False
    lock: Lock | None = None
    last: ScriptResult | None = None
    workspace: tuple[str, ...] = ()
    source: Record | None = None
    offered: Record | None = None
    foreign: str = ""
    images: tuple[Held, ...] = ()
    clashes: tuple[Clash, ...] = ()
    containers: tuple[Container, ...] = ()
    lacks: tuple[str, ...] = ()
    unwritable: str = ""
    parts: str = field(default="", repr=False)

    def has(self, image: Image) -> bool:
        """Whether the host has this very image, under the name that a release runs it by."""
        return self.held(image.pinned) is not None

    def held(self, reference: str) -> Held | None:
        """Return an image by a name as users write it; None where the host lacks it."""
        wanted = familiar(reference)
        name, at, digest = wanted.partition("@")
        if at:
            wanted = f"{_TAG.sub('', name)}@{digest}"
        return next((held for held in self.images if wanted in held.names), None)

    def held_of(self, name: str) -> Held | None:
        """Return an image that the host has by a name without tag and digest."""
        wanted = familiar(f"{name}@").rstrip("@")
        return next((held for held in self.images if any(_bare(own) == wanted for own in held.names)), None)

    @property
    def is_ready(self) -> bool:
        """Whether the host needs no bootstrap."""
        return self.daemon and numbers_of(self.compose) >= MINIMAL_COMPOSE


def _bare(reference: str) -> str:
    """Return a familiar name without tag and digest."""
    return _TAG.sub("", familiar(reference).partition("@")[0])


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


@dataclass(frozen=True)
class Beat:
    """Show that a silent run is alive."""


@dataclass(frozen=True)
class StackState:
    """Describe a stack on a host, as the host judges it: `state` is one of those in `host/observe.sh`.

    `last` is how the last change of it ended, where that failed.
    """

    stack: str
    state: str = ""
    reason: str = ""
    release: Current | None = None
    lock: Lock | None = None
    last: ScriptResult | None = None
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True)
class Kept:
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
    finds it automatically.
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


@dataclass(frozen=True)
class ScriptResult:
    """Say how a script ended.

    `state` of an apply or a rollback: `same`, `new`, `kept` (nothing was touched), `restored`,
    `stopped` (a first release, kept for inspection), `broken`, `left` (the release failed and was left as
    it is), `unfinished` (the release runs, a lifecycle command failed), `interrupted` (the script was ended between
    two releases); `unknown` where no answer came.
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
    | Beat
    | StackState
    | Kept
    | Leftover
    | RunningContainer
    | ScriptResult
)


def words(version: tuple[int, ...]) -> str:
    """Return a version as people write it: `2.24.4`."""
    return ".".join(map(str, version))


def numbers_of(text: str) -> tuple[int, ...]:
    """Return the numbers that a version starts with: `2.26.1-4` gives (2, 26, 1)."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, match[1].split("."))) if match else ()
