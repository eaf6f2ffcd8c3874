"""The variables that tell a stack its name, number and host: for `${…}`, and for the main service's environment.

The user's own value for one of these names takes precedence. Reads no environment.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kamal_dev.compose import dotenv, interpolate, place, volume
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Location, Notice, Version
from kamal_dev.pattern import pattern
from kamal_dev.syntax.text import decode

if TYPE_CHECKING:
    from kamal_dev.compose.additions import Additions
    from kamal_dev.compose.compose_project import ComposeProject

# Placeholder for an unknown address. Source: RFC 5737, addresses for documentation.
UNKNOWN = "192.0.2.1"
_OF_STACK = frozenset(("NODE_NAME", "NODE_INDEX", "NODE_ADDRESS", "DEV_PEERS", "DEV_STACK"))
NAMES = (*sorted(_OF_STACK), "DEV_VERSION")
_NAMED = pattern(rf"(?<![A-Za-z0-9_])(?:{'|'.join(NAMES)})(?![A-Za-z0-9_])")
CLAIMED = "is set here and overrides the value of the stack"
_SHARED = ("image", "build", "env_file", "label_file")


def values(stack: str, version: Version, index: int = 1, address: str = "", peers: str = "") -> dict[str, str]:
    """Return the variables of one stack; a host is named after its stack, and `index` counts from 1.

    `peers` are the other stacks of the project as `stack=address`, separated by spaces.
    """
    return {
        "DEV_PEERS": peers,
        "DEV_STACK": stack,
        "DEV_VERSION": version.text,
        "NODE_ADDRESS": address or UNKNOWN,
        "NODE_INDEX": str(index),
        "NODE_NAME": stack,
    }


def mentioned(text: str) -> frozenset[str]:
    """Return the stack variables that a text mentions."""
    return frozenset(_NAMED.findall(text))


def environment(
    service: Value, project: ComposeProject, name: str, elsewhere: frozenset[str] = frozenset()
) -> dict[str, None]:
    """Return what the main service gets from `.env`: what it mentions in any key and does not set itself.

    A value that differs between versions or hosts would recreate containers with the same content. `elsewhere` are
    the variables that devcontainer.json mentions.
    """
    own = _set_by(service, project, name)
    wanted = {*elsewhere, *mentioned("\n".join(_texts(service))), *_in_env_files(project, name), *dict(project.claimed)}
    return {key: None for key in NAMES if key in wanted and key not in own}


def _texts(value: Value) -> Iterator[str]:
    """Yield every key and scalar below, as written."""
    yield value.raw
    for key, item in value.items.items():
        yield key
        yield from _texts(item)
    for item in value.list:
        yield from _texts(item)


def _in_env_files(project: ComposeProject, name: str) -> frozenset[str]:
    texts = (file.content for file in project.travels if file.role == "env_file" and name in file.services)
    return mentioned("\n".join(text.decode(errors="replace") for text in texts))


def notices(project: ComposeProject, additions: Additions) -> Iterator[Notice]:
    """Return notices about the variables that the user sets."""
    service = project.model.at("services", additions.main)
    own = _set_by(service, project, additions.main) if service is not None else {}
    written = service.at("environment") if service is not None else None
    for name, where in {**own, **dict(project.claimed)}.items():
        value = written.items.get(name) if written is not None else None
        # With `NODE_NAME: ${NODE_NAME}`, the value is the stack's own.
        if name in dict(project.claimed) or value is None or name not in interpolate.names(value.raw):
            yield Notice(where, f"`{name}` {CLAIMED}")


def problems(model: Value) -> Iterator[Problem]:
    """Refuse the variables where all stacks must be equal: in images, builds and local paths."""
    services = model.at("services")
    for name, service in services.items.items() if services is not None else ():
        for key in _SHARED:
            yield from _varying(f"services.{name}.{key}", service.at(key))
        listed = service.at("volumes")
        for item in listed.list if listed is not None else ():
            raw = item.items["source"].raw if "source" in item.items else volume.split(item.raw).source
            yield from _named(f"services.{name}.volumes", item, raw if volume.bind_source(item) else "")
    for key in ("configs", "secrets"):
        listed = model.at(key)
        for name, item in listed.items.items() if listed is not None else ():
            yield from _varying(f"{key}.{name}.file", item.at("file"))


def _set_by(service: Value, project: ComposeProject, name: str) -> dict[str, Location]:
    """Return where a service sets one of the variables itself, in `env_file` or `environment`."""
    places: dict[str, Location] = {}
    for travel in project.travels:
        if travel.role == "env_file" and name in travel.services:
            shown = place.shown(travel.path, project.repository)
            text = decode(travel.content, shown, ComposeError)
            places |= dict.fromkeys(dotenv.keys(text, shown), travel.where)
    written = service.at("environment")
    for key, value in written.items.items() if written is not None else ():
        if value.data is not None:
            places[key] = value.where
    return {key: where for key, where in places.items() if key in NAMES}


def _varying(key: str, value: Value | None) -> Iterator[Problem]:
    if value is None:
        return
    for item in (*value.items.values(), *value.list):
        yield from _varying(key, item)
    yield from _named(key, value, value.raw)


def _named(key: str, value: Value, raw: str) -> Iterator[Problem]:
    for name in _OF_STACK.intersection(interpolate.names(raw)):
        message = f"`{name}` differs in each stack; an image, a build or a path must be the same in all"
        yield Problem(value.where.path, value.where.line, message, key=key, column=value.where.column)
