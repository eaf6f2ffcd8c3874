"""A summary of each service: its image, its dependencies, and when it runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kamal_dev.compose import secret_text
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Location, Notice, familiar
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

_MAY_BE_NULL = frozenset(("command", "entrypoint", "deploy", "develop", "pid"))
LONGEST_IMAGE = 512

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = pattern(
    rf"(?:(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?/)?{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?",
    re.ASCII,
)


@dataclass(frozen=True)
class Service:
    """Describe one service of a compose project.

    `image` is the user's name for it, with variables resolved. `built_as` is the service whose build makes its image:
    itself (also if it only gets Features), another service whose image it uses, or empty. `is_active` says whether
    its profiles let it be started, `is_one_shot` whether another service waits for its successful end. `needs` are
    the services started with it, `platform` is the required platform of its image (`linux/amd64`), empty if not set.
    """

    name: str
    where: Location
    image: str = ""
    has_build: bool = False
    built_as: str = ""
    profiles: tuple[str, ...] = ()
    is_active: bool = True
    is_one_shot: bool = False
    needs: tuple[str, ...] = ()
    platform: str = ""


def read(
    services: Mapping[str, Value], profiles: tuple[str, ...], featured: frozenset[str] = frozenset()
) -> tuple[Service, ...]:
    """Return every service in the order of the files; `featured` services get their own image.

    Raises ComposeError for what Compose refuses.
    """
    wrong = [
        Problem(value.where.path, value.where.line, "starts with `-`, which commands read as a flag", key=name)
        for name, value in services.items()
        if name.startswith("-")
    ]
    wrong += [
        _at(value, f"services.{name}", "must be a mapping") for name, value in services.items() if not value.items
    ]
    wrong += [
        _at(item, f"services.{name}.{key}", "has no value: set it or remove it")
        for name, value in services.items()
        for key, item in value.items.items()
        if item.data is None and key not in _MAY_BE_NULL and not key.startswith("x-")
    ]
    if wrong:
        raise ComposeError(wrong)
    read_services = tuple(
        replace(item, built_as=item.name) if item.name in featured and item.image else item
        for item in _read(services, profiles)
    )
    if wrong := [
        _at(services[item.name], f"services.{item.name}", "has neither `image` nor `build`")
        for item in read_services
        if item.is_active and not item.image and not item.has_build and "provider" not in services[item.name].items
    ]:
        raise ComposeError(wrong)
    return read_services


def profiles(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the profiles in COMPOSE_PROFILES."""
    names = secret_text.plain(variables.get("COMPOSE_PROFILES", "")).split(",")
    return tuple(filter(None, map(str.strip, names)))


def asked(
    services: Mapping[str, Value], profiles: tuple[str, ...], main: str, run_services: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names passed to `up`; empty if it starts everything.

    `main` is started regardless of its profile, like in VS Code.
    """
    if run_services:
        return tuple(dict.fromkeys((*run_services, main)))
    if main not in services or _is_active(services[main], profiles):
        return ()
    return tuple(name for name, value in services.items() if name == main or _is_active(value, profiles))


def enabled(services: Mapping[str, Value], profiles: tuple[str, ...], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the active profiles: naming a service activates its own, like in Compose."""
    named = (profile for name in names if name in services for profile in _texts(services[name], "profiles"))
    return tuple(dict.fromkeys((*profiles, *named)))


def problems(services: Mapping[str, Value], started: Iterable[Service]) -> tuple[Problem, ...]:
    """Return what no engine would accept, for the started services."""
    return tuple(
        _at(services[item.name].items["image"], f"services.{item.name}.image", f"`{item.image}` is not an image")
        for item in started
        if item.image and not item.has_build and item.built_as in ("", item.name)
        if not _is_reference(item.image)
    )


def _at(value: Value, key: str, message: str) -> Problem:
    return Problem(value.where.path, value.where.line, message, key=key, column=value.where.column)


def _read(services: Mapping[str, Value], profiles: tuple[str, ...]) -> tuple[Service, ...]:
    made = {
        familiar(value.string("image")): name
        for name, value in services.items()
        if "build" in value.items and value.string("image")
    }
    awaited = {
        needed
        for value in services.values()
        for needed, condition in _depends(value).items()
        if condition == "service_completed_successfully"
    }
    return tuple(_service(name, value, profiles, made, name in awaited) for name, value in services.items())


def _is_active(value: Value, profiles: tuple[str, ...]) -> bool:
    own = _texts(value, "profiles")
    return not own or "*" in profiles or bool(set(own) & set(profiles))


def _service(name: str, value: Value, profiles: tuple[str, ...], made: Mapping[str, str], is_one_shot: bool) -> Service:
    image = value.string("image")
    has_build = "build" in value.items
    return Service(
        name=name,
        where=value.where,
        image=image,
        has_build=has_build,
        built_as=name if has_build else made.get(familiar(image), "") if image else "",
        profiles=_texts(value, "profiles"),
        is_active=_is_active(value, profiles),
        is_one_shot=is_one_shot,
        needs=_needs(value),
        platform=value.string("platform"),
    )


def started(services: Iterable[Service], names: tuple[str, ...]) -> tuple[Service, ...]:
    """Return what `up` starts: the active or the named services, each with what it needs.

    What is needed with `required: false` is only started if its profiles allow it.
    """
    known = {service.name: service for service in services if service.is_active}
    waiting = list(names) or list(known)
    included: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name not in included and name in known:
            included.add(name)
            waiting += known[name].needs
    return tuple(service for name, service in known.items() if name in included)


def notices(project: Value) -> tuple[Notice, ...]:
    """Return notices about what differs on a host."""
    collected = []
    services = project.at("services")
    for name, service in services.items.items() if services is not None else ():
        develop = service.at("develop")
        if develop is not None:
            text = f"services.{name}.develop: files are not watched on a host"
            collected.append(Notice(develop.where, text))
    for key in ("networks", "volumes"):
        listed = project.at(key)
        for name, item in listed.items.items() if listed is not None else ():
            external = item.at("external")
            if external is not None and (external.is_on or external.items):
                collected.append(Notice(item.where, f"{key}.{name}: is external, and must exist on every host"))
    return tuple(collected)


def _depends(value: Value) -> dict[str, str]:
    depends = value.at("depends_on")
    return {name: item.string("condition") for name, item in (depends.items if depends is not None else {}).items()}


def _needs(value: Value) -> tuple[str, ...]:
    """Return the services that are started with this one, as Compose derives them."""
    names = [*_depends(value), *(link.split(":")[0] for link in _texts(value, "links"))]
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        text = value.string(key)
        names += [text.removeprefix("service:")] if text.startswith("service:") else []
    names += [text.split(":")[0] for text in _texts(value, "volumes_from") if not text.startswith("container:")]
    return tuple(dict.fromkeys(names))


def _texts(value: Value, key: str) -> tuple[str, ...]:
    items = value.at(key)
    return tuple(item.text for item in items.list) if items is not None else ()


def _is_reference(name: str) -> bool:
    """Return whether an engine accepts it as the name of an image. Source: distribution, reference grammar."""
    return len(name) < LONGEST_IMAGE and bool(_REFERENCE.fullmatch(name))
