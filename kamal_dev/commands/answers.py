"""What the scripts on a host answer, as values. Reads text; asks no host.

A script prints one JSON object per line. Lines that are none (a banner, a stray word of
some program) are passed over; control characters are taken out of every text, because
logs of services end up on the user's terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from kamal_dev.model import Container, Image, ImageConfig, familiar

Record = Mapping[str, Any]  # what a workspace was sent, as `project.snapshot` describes it; or a line of the audit log
MINIMAL_COMPOSE = (2, 24, 4)

_UNPRINTABLE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_TAG = re.compile(r":[^:/]*$")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Current:
    """Describe the release that a stack has; `good` when it was once observed as healthy."""

    id: str
    digest: str = ""
    version: str = ""
    good: bool = False


@dataclass(frozen=True)
class Lock:
    """Say who has the lock of a stack: `word` is the verb, `since` UTC, `token` the run to attach to.

    `state` is `held`, `stale` (its owner lives but does not move: it may be stopped) or `dead`; a
    dead owner's is taken over by the next who wants it. `age` is seconds since the owner was last
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
        """Whether its owner lives, so that nobody else gets it."""
        return self.state != "dead"

    def __str__(self) -> str:
        return f"`{self.word}` of {self.by or 'somebody'} (since {self.since}, process {self.pid} on the host)"


@dataclass(frozen=True)
class Held:
    """Describe an image that a host has; `names` are its id, its `name:tag`s and its `name@digest`s."""

    names: tuple[str, ...]
    config: ImageConfig


@dataclass(frozen=True)
class Facts:
    """Describe a host and one stack on it.

    `privilege` is `root`, `sudo`, `password` (sudo that asks for one) or `none`; `arch` is
    Docker's word (`amd64`); `docker` and `compose` are versions, empty where they are
    missing or silent; `disk_free`, `disk` (all of it; where Docker keeps images) and `memory` are
    bytes; `gpu` whether there is one that NVIDIA's driver knows.
    `stands`: the current release is good, all its containers are as they were then, and no
    lifecycle command is left to be run. `images` has those of the references asked for that are there.
    `workspace` are the folders of the workspace that have something in them, `source` the
    record of what was sent there last, `offered` of what was not taken because of changes.
    """

    user: str = ""
    home: str = ""
    privilege: str = "none"
    os: str = ""
    os_version: str = ""
    arch: str = ""
    docker: str = ""
    compose: str = ""
    daemon: bool = False
    disk_free: int = 0
    disk: int = 0
    memory: int = 0
    cpus: int = 0
    gpu: bool = False
    release: Current | None = None
    stands: bool = False
    lock: Lock | None = None
    workspace: tuple[str, ...] = ()
    source: Record | None = None
    offered: Record | None = None
    images: tuple[Held, ...] = ()
    containers: tuple[Container, ...] = ()

    def has(self, image: Image) -> bool:
        """Whether the host has this very image; its tag alone says little where it has a digest."""
        held = self.held(image.reference)
        names = held.names if held and image.digest else ()
        return any(name == image.digest or name.endswith(f"@{image.digest}") for name in names)

    def held(self, reference: str) -> Held | None:
        """Return an image by a name as users write it; None where the host lacks it."""
        wanted = familiar(reference)
        name, at, digest = wanted.partition("@")
        if at:
            wanted = f"{_TAG.sub('', name)}@{digest}"
        return next((held for held in self.images if wanted in held.names), None)

    def runs(self, digest: str) -> bool:
        """Whether the release with this digest is current, and stands."""
        return self.stands and self.release is not None and self.release.digest == digest

    @property
    def is_ready(self) -> bool:
        """Whether the host needs no bootstrap."""
        return self.daemon and version_of(self.compose) >= MINIMAL_COMPOSE


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
    """Say whether an image arrived."""

    image: str
    ok: bool = False
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Hook:
    """Name a lifecycle command that failed; `log` holds its last lines, `name` is set where a hook has several."""

    hook: str
    name: str = ""
    command: str = ""
    exit_code: int = 0
    reason: str = ""
    log: str = ""


@dataclass(frozen=True)
class Beat:
    """Show that a silent run is alive."""


@dataclass(frozen=True)
class Stack:
    """Describe a stack on a host; `unfinished` where lifecycle commands are left to be run."""

    stack: str
    release: Current | None = None
    lock: Lock | None = None
    unfinished: bool = False
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True)
class Kept:
    """Describe one release that a host keeps of a stack.

    `performer` deployed it last, `at` (UTC). `good` when it was once observed as healthy. `state` says how its
    last deploy or rollback ended, as in `Outcome`, empty where it never did. `missing` are those of its images
    that the host has no longer. `is_last_good`: a deploy that fails goes back to it; `is_before`: a
    rollback does that names no version.
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
class Place:
    """Describe the container that a command is to run in.

    `state` is Docker's; `pid` that of its first process, 0 where none runs; `user` and
    `environment` are its own. `metadata` is the label `devcontainer.metadata` of its image.
    `direct`: the login on the host may use Docker without sudo.
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


@dataclass(frozen=True)
class Outcome:
    """Say how a script ended.

    `state` of an apply or a rollback: `same`, `new`, `kept` (nothing was touched), `restored`,
    `stopped` (a first release, kept for a look), `broken`, `left` (the release fell and was left as
    it is), `unfinished` (the release runs, a lifecycle command failed); `unknown` where no answer came.
    `containers` is what is there now, `failed` what did not stay up, with reason and log, `hooks` the
    lifecycle commands that failed. `code` of an apply: `disk` where images have no room; of a
    bootstrap: `system`, `privilege`, `packages`, `network`, `daemon`,
    `compose`. `observed_ms` is the time spent on nothing but the window.
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
    docker: str = ""
    compose: str = ""
    removed: bool = False
    backup: str = ""
    kept: tuple[str, ...] = ()
    containers: tuple[Container, ...] = ()
    failed: tuple[Container, ...] = ()
    images: tuple[Pulled, ...] = ()
    hooks: tuple[Hook, ...] = ()
    phases: tuple[Phase, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return self.ok


Event = Facts | Container | Phase | Log | Pulled | Hook | Beat | Stack | Kept | Leftover | Place | Outcome


def event(line: str) -> Event | None:
    """Return what one line says, None where it is no event."""
    told = _tell(line)
    return told[1] if told else None


def count(output: str) -> int:
    """Count the events, for `host.attach` to leave out."""
    return sum(1 for _ in _events(output))


def facts(output: str) -> Facts | None:
    """Return what `host.facts` printed, None where the script did not get that far."""
    found = [event for _, event in _events(output) if isinstance(event, Facts)]
    return replace(found[-1], containers=_containers(output)) if found else None


def outcome(output: str) -> Outcome:
    """Return how a script ended, with everything that it told on the way."""
    events = [event for _, event in _events(output)]
    results = [event for event in events if isinstance(event, Outcome)]
    result = results[-1] if results else Outcome(state="unknown", reason="the host gave no answer")
    return replace(
        result,
        containers=_containers(output, release=result.current),
        failed=tuple(event for event in events if isinstance(event, Container) and event.reason),
        images=tuple(event for event in events if isinstance(event, Pulled)),
        hooks=tuple(event for event in events if isinstance(event, Hook)),
        phases=tuple(event for event in events if isinstance(event, Phase) and event.seconds is not None),
    )


def has_ended(output: str) -> bool:
    """Whether a script said how it ended."""
    return any(isinstance(event, Outcome) for _, event in _events(output))


def stacks(output: str) -> tuple[Stack, ...]:
    """Return the stacks that `host.status` printed, each with its containers."""
    found = (event for _, event in _events(output) if isinstance(event, Stack))
    return tuple(replace(stack, containers=_containers(output, stack=stack.stack)) for stack in found)


def releases(output: str) -> tuple[Kept, ...]:
    """Return the releases that `host.releases` printed, the last deployed of a stack first."""
    return tuple(event for _, event in _events(output) if isinstance(event, Kept))


def leftovers(output: str) -> tuple[Leftover, ...]:
    """Return the pieces that `host.prune` printed."""
    return tuple(event for _, event in _events(output) if isinstance(event, Leftover))


def place(output: str) -> Place | None:
    """Return what `host.place` printed, None where there is no such container."""
    found = [event for _, event in _events(output) if isinstance(event, Place)]
    return found[-1] if found else None


def records(output: str) -> tuple[Record, ...]:
    """Return the lines of a stack's record that `host.records` printed."""
    return tuple(data for line in output.split("\n") if (data := _object(line)) and "at" in data)


def version_of(text: str) -> tuple[int, ...]:
    """Return the numbers that a version starts with: `2.26.1-4` gives (2, 26, 1)."""
    match = re.match(r"v?(\d+(?:\.\d+)*)", text)
    return tuple(map(int, match[1].split("."))) if match else ()


def _containers(output: str, **wanted: str) -> tuple[Container, ...]:
    """Return the containers whose line has these values; the last line of each name counts."""
    found = (
        event
        for data, event in _events(output)
        if isinstance(event, Container) and all(data.get(key) == value for key, value in wanted.items())
    )
    return tuple({container.name: container for container in found}.values())


def _events(output: str) -> Iterator[tuple[dict[str, Any], Event]]:
    return (told for line in output.split("\n") if (told := _tell(line)))


def _tell(line: str) -> tuple[dict[str, Any], Event] | None:
    data = _object(line)
    try:
        return (data, _KINDS[data["type"]](data)) if data else None
    except (ValueError, RecursionError, KeyError, TypeError):
        return None


def _object(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{"):
        return None
    try:
        data: dict[str, Any] = _clean(json.loads(line))
    except (ValueError, RecursionError):
        return None
    return data


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _UNPRINTABLE.sub("", value)
    if isinstance(value, list):
        return tuple(map(_clean, value))
    return {key: _clean(item) for key, item in value.items()} if isinstance(value, dict) else value


def _read(kind: type[_Value], data: Mapping[str, Any]) -> _Value:
    known = {item.name: data[item.name] for item in fields(kind) if item.name in data}  # type: ignore[arg-type]
    for name, inner in (("release", Current), ("lock", Lock)):
        if isinstance(known.get(name), dict):
            known[name] = _read(inner, known[name])
    return kind(**known)


def _facts(data: Mapping[str, Any]) -> Facts:
    listed = data.get("images") or ()
    images = tuple(Held(tuple(item["names"]), ImageConfig.from_json(item)) for item in listed)
    return _read(Facts, {**data, "images": images})


_KINDS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "facts": _facts,
    "container": Container.from_json,
    "phase": lambda data: _read(Phase, data),
    "log": lambda data: _read(Log, data),
    "image": lambda data: _read(Pulled, data),
    "hook": lambda data: _read(Hook, data),
    "beat": lambda data: _read(Beat, data),
    "stack": lambda data: _read(Stack, data),
    "release": lambda data: _read(Kept, data),
    "leftover": lambda data: _read(Leftover, data),
    "place": lambda data: _read(
        Place, {**data, "environment": data["environment"] or (), "metadata": data["metadata"] or ""}
    ),
    "result": lambda data: _read(Outcome, data),
}
