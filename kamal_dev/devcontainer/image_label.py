"""Merge the metadata in an image's label `devcontainer.metadata` with a devcontainer.json.

Source: containers.dev, "Image Metadata" and its merge logic.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from kamal_dev.devcontainer import fields, requirements
from kamal_dev.devcontainer.configuration import Devcontainer, Translation
from kamal_dev.devcontainer.private_variables import NOTHING, Private
from kamal_dev.devcontainer.properties import LIFECYCLE
from kamal_dev.devcontainer.reader import PropertyReader
from kamal_dev.devcontainer.substitution import Variables, with_id
from kamal_dev.errors import DevcontainerError, Problem
from kamal_dev.model import Notice

LABEL = "devcontainer.metadata"

Entry = Mapping[str, Any]
_Item = TypeVar("_Item")

_STAGES = LIFECYCLE[1:]  # initializeCommand runs on this machine, and is never in a label
_PICKED = (
    *_STAGES,
    *("waitFor", "customizations", "mounts", "containerEnv", "containerUser", "init", "privileged", "capAdd"),
    *("securityOpt", "remoteUser", "userEnvProbe", "remoteEnv", "overrideCommand", "portsAttributes"),
    *("otherPortsAttributes", "forwardPorts", "shutdownAction", "updateRemoteUserUID", "hostRequirements"),
)


def entries(label: str, image: str) -> tuple[Entry, ...]:
    """Parse the label of `image`, a list of objects or a single one; empty if there is none.

    Raises DevcontainerError with the name of the image for any other JSON.
    """
    try:
        value = json.loads(label) if label.strip() else []
    except ValueError as error:
        raise _broken(image, f"is not JSON: {error}") from error
    value = [value] if isinstance(value, dict) else value
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise _broken(image, "is not a list of objects")
    return tuple(value)


def merged(
    own: Devcontainer,
    entries: tuple[Entry, ...],
    image: str,
    environment: Mapping[str, str],
    private: Private = NOTHING,
) -> Devcontainer:
    """Merge a devcontainer.json over the entries of its image's label.

    `environment` resolves `${localEnv:…}` in the label, except what is `private`. An entry that repeats the
    devcontainer.json itself, as the devcontainer CLI writes it, counts once. Raises DevcontainerError if an entry has
    a property of the wrong type.
    """
    if entries and _picked(_meant(entries[-1], own, environment)) == _picked(own.configuration):
        entries = entries[:-1]
    if not entries:
        return own
    values = [_meant(entry, own, private.left_out(environment)) for entry in entries]
    notices: list[Notice] = []
    layers = [_layer(value, own, image, notices) for value in values]
    return replace(own, **_laid(own, layers), notices=(*own.notices, *notices))


def _meant(entry: Entry, own: Devcontainer, environment: Mapping[str, str]) -> Entry:
    known = Variables(environment, own.root, own.workspace_folder)
    return dict(with_id(known.substitute(entry, lambda *_: None), own.identity))


def _picked(value: Entry) -> dict[str, Any]:
    return {name: value[name] for name in _PICKED if value.get(name) is not None}


def _layer(value: Entry, own: Devcontainer, image: str, notices: list[Notice]) -> dict[str, Any]:
    """Read an entry's fields; missing ones are left out."""
    reader = PropertyReader(value, {}, f"{image} ({LABEL})")
    typed = fields.container(reader, own.kind, Translation(), notices) | fields.later(reader)
    typed["entrypoints"] = (value["entrypoint"],) if value.get("entrypoint") else ()
    if reader.problems:
        raise DevcontainerError(reader.problems, hint="the image has a label that cannot be read")
    return {**typed, "has": frozenset(name for name in value if reader.has(name))}


def _laid(own: Devcontainer, layers: list[dict[str, Any]]) -> dict[str, Any]:
    def each(name: str) -> list[Any]:
        return [*(layer[name] for layer in layers), getattr(own, name)]

    def last(name: str, property_: str) -> Any:
        given = [layer[name] for layer in layers if property_ in layer["has"]]
        return getattr(own, name) if property_ in own.configuration or not given else given[-1]

    mounts = {mount.target: mount for group in each("mounts") for mount in group}
    return {
        "lifecycle": _commands(own, layers),
        "entrypoints": tuple(word for layer in layers for word in layer["entrypoints"]),
        "mounts": tuple(mounts.values()),
        **{name: any(each(name)) or None for name in ("init", "privileged")},
        **{name: _union(each(name)) for name in ("cap_add", "security_opt", "forward_ports")},
        **{name: _last_per_key(each(name), tuple) for name in ("container_env", "remote_env")},
        "ports_attributes": _last_per_key([group.items() for group in each("ports_attributes")], dict),
        "host_requirements": requirements.highest(each("host_requirements")),
        "remote_user": last("remote_user", "remoteUser"),
        "container_user": own.container_user or last("container_user", "containerUser"),
        "wait_for": last("wait_for", "waitFor"),
        "user_env_probe": last("user_env_probe", "userEnvProbe"),
        "override_command": last("override_command", "overrideCommand"),
    }


def _commands(own: Devcontainer, layers: list[dict[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """Return every stage's commands in order, the image's first; a command in both runs once."""
    mine = dict(own.lifecycle)
    commands = [(name, command) for name, command in own.lifecycle if name not in _STAGES]
    for name in _STAGES:
        theirs = [command for layer in layers for key, command in layer["lifecycle"] if key == name]
        commands += [(name, command) for command in theirs if command != mine.get(name)]
        commands += [(name, mine[name])] if name in mine else []
    return tuple(commands)


def _union(groups: Iterable[Iterable[_Item]]) -> tuple[_Item, ...]:
    return tuple(dict.fromkeys(item for group in groups for item in group))


def _last_per_key(groups: Iterable[Iterable[tuple[str, Any]]], kind: Callable[[Any], Any]) -> Any:
    last: dict[str, Any] = {}
    for group in groups:
        last.update(group)
    return kind(last.items())


def _broken(image: str, reason: str) -> DevcontainerError:
    return DevcontainerError(
        Problem(image, 0, f"the label `{LABEL}` {reason}"), hint="rebuild the image, or use another one"
    )
