"""Parse the output of the host scripts. Does no I/O.

A script prints one JSON object per line. Other lines (a banner, output of other programs) are skipped; control
characters are removed from every text, because logs of services are shown on the user's terminal.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from kamal_dev.commands.events import Arrived, Event, Heartbeat, Lifecycle, Log, Phase, Pulled, Replace, ScriptResult
from kamal_dev.commands.facts import CurrentRelease, Facts, FailedChange, HeldImage, Lock, PortConflict, Record
from kamal_dev.commands.nodes import SwarmMember, SwarmNode
from kamal_dev.commands.stacks import (
    About,
    Allotted,
    Claim,
    Contents,
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
from kamal_dev.commands.typed import fits, hints
from kamal_dev.model import Container, ImageConfig, Lifetime
from kamal_dev.pattern import pattern

_UNPRINTABLE = pattern(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_Value = TypeVar("_Value")


def event(line: str) -> Event | None:
    """Return the event in a line, or None."""
    parsed = _tell(line)
    return parsed[1] if parsed else None


def events(output: str) -> Iterator[Event]:
    """Return all events."""
    return (event for _, event in _events(output))


def count(output: str) -> int:
    """Count the events, which `host.attach` will skip."""
    return sum(1 for _ in _events(output))


def facts(output: str) -> Facts | None:
    """Return the output of `host.facts`, or None if the script did not get that far."""
    reports = [event for _, event in _events(output) if isinstance(event, Facts)]
    return replace(reports[-1], containers=_containers(output)) if reports else None


def outcome(output: str) -> ScriptResult:
    """Return how a script ended, with everything that it reported before."""
    events = [event for _, event in _events(output)]
    results = [event for event in events if isinstance(event, ScriptResult)]
    result = results[-1] if results else ScriptResult(state="unknown", reason="the host gave no answer")
    return replace(
        result,
        facts=facts(output),
        containers=_containers(output, release=result.current),
        failed=tuple(event for event in events if isinstance(event, Container) and event.reason),
        images=tuple(event for event in events if isinstance(event, Pulled)),
        lifecycle=tuple(event for event in events if isinstance(event, Lifecycle)),
        phases=tuple(event for event in events if isinstance(event, Phase) and event.seconds is not None),
    )


def has_ended(output: str) -> bool:
    """Return whether a script reported its end."""
    return any(isinstance(event, ScriptResult) for _, event in _events(output))


def stacks(output: str) -> tuple[StackState, ...]:
    """Return the stacks in the output of `host.status`, each with its containers and what they use."""
    events = [(data.get("stack"), event) for data, event in _events(output)]

    def complete(stack: StackState) -> StackState:
        about = [event for name, event in events if name == stack.stack]
        return replace(
            stack,
            containers=_containers(output, stack=stack.stack),
            usage=tuple(event for event in about if isinstance(event, Usage)),
            volumes=tuple(event for event in about if isinstance(event, MountedVolume)),
        )

    return tuple(complete(event) for _, event in events if isinstance(event, StackState))


def releases(output: str) -> tuple[KeptRelease, ...]:
    """Return the releases in the output of `host.releases`, latest deploy of a stack first."""
    return tuple(event for _, event in _events(output) if isinstance(event, KeptRelease))


def contents(output: str) -> Contents:
    """Return the output of `host.contents`."""
    events = [event for _, event in _events(output)]
    files = {event.path: event.content for event in events if isinstance(event, ReleaseFile)}
    return Contents(files, tuple(event for event in events if isinstance(event, Inside)))


def manifests(output: str) -> dict[str, Mapping[str, Any]]:
    """Return the manifests in the output of `host.manifests`, by stack; one that is not JSON is left out."""
    texts = (event for _, event in _events(output) if isinstance(event, ReleaseManifest))
    return {event.stack: data for event in texts if (data := _object(event.text))}


def inventory(output: str) -> Inventory | None:
    """Return the output of `move.inventory`, or None if the script did not get that far."""
    events = [event for _, event in _events(output)]
    parts = tuple(event for event in events if isinstance(event, PartSize))
    return next((replace(event, parts=parts) for event in events if isinstance(event, Inventory)), None)


def leftovers(output: str) -> tuple[Leftover, ...]:
    """Return the pieces in the output of `host.prune`."""
    return tuple(event for _, event in _events(output) if isinstance(event, Leftover))


def place(output: str) -> RunningContainer | None:
    """Return the output of `host.place`, or None if there is no such container."""
    places = [event for _, event in _events(output) if isinstance(event, RunningContainer)]
    return places[-1] if places else None


def records(output: str) -> tuple[Record, ...]:
    """Return the entries of a stack's audit log in the output of `host.records`."""
    return tuple(data for line in output.split("\n") if (data := _object(line)) and "at" in data)


def _containers(output: str, **wanted: str) -> tuple[Container, ...]:
    """Return the containers with these values; the last line for each name counts."""
    containers = (
        event
        for data, event in _events(output)
        if isinstance(event, Container) and all(data.get(key) == value for key, value in wanted.items())
    )
    return tuple({container.name: container for container in containers}.values())


def _events(output: str) -> Iterator[tuple[dict[str, Any], Event]]:
    return (parsed for line in output.split("\n") if (parsed := _tell(line)))


def _tell(line: str) -> tuple[dict[str, Any], Event] | None:
    data = _object(line)
    try:
        return (data, _KINDS[data["type"]](data)) if data else None
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
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
    for name, inner in (("release", CurrentRelease), ("lock", Lock), ("last", FailedChange), ("lifetime", Lifetime)):
        if isinstance(known.get(name), dict):
            known[name] = _read(inner, known[name])
    if wrong := [name for name, value in known.items() if not fits(value, hints(kind)[name])]:
        raise TypeError(f"not of the type of {kind.__name__}: {', '.join(wrong)}")
    return kind(**known)


def _facts(data: Mapping[str, Any]) -> Facts:
    listed = data.get("images") or ()
    images = tuple(
        HeldImage(tuple(item["names"]), ImageConfig.from_json(item), str(item.get("platform") or "")) for item in listed
    )
    clashes = tuple(_read(PortConflict, item) for item in data.get("clashes") or ())
    return _read(Facts, {**data, "images": images, "clashes": clashes})


_KINDS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    "facts": _facts,
    "container": Container.from_json,
    "phase": lambda data: _read(Phase, data),
    "log": lambda data: _read(Log, data),
    "image": lambda data: _read(Pulled, data),
    "arrived": lambda data: _read(Arrived, data),
    "replace": lambda data: _read(Replace, data),
    "lifecycle": lambda data: _read(Lifecycle, data),
    "file": lambda data: _read(ReleaseFile, data),
    "inside": lambda data: _read(Inside, data),
    "manifest": lambda data: _read(ReleaseManifest, data),
    "beat": lambda data: _read(Heartbeat, data),
    "stack": lambda data: _read(StackState, data),
    "about": lambda data: _read(About, data),
    "allotted": lambda data: _read(Allotted, data),
    "claim": lambda data: _read(Claim, data),
    "survey": lambda data: _read(
        Survey, {key: data.get(key, ()) for key in ("stacks", "named", "leaving", "memory", "cpus", "disk_free")}
    ),
    "swarm": lambda data: _read(SwarmMember, data),
    "node": lambda data: _read(
        SwarmNode, {**data, "labels": data.get("labels") or {}, "engine_labels": data.get("engine_labels") or {}}
    ),
    "usage": lambda data: _read(Usage, data),
    "volume": lambda data: _read(MountedVolume, data),
    "release": lambda data: _read(KeptRelease, data),
    "leftover": lambda data: _read(Leftover, data),
    "inventory": lambda data: _read(Inventory, data),
    "part": lambda data: _read(PartSize, data),
    "place": lambda data: _read(
        RunningContainer, {**data, "environment": data["environment"] or (), "metadata": data["metadata"] or ""}
    ),
    "result": lambda data: _read(ScriptResult, data),
}
