"""Check that the parts of a project fit together, like Compose before it starts anything.

Source: compose-go, the consistency check of its loader, its validation and its search for cycles.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set

from kamal_dev.compose import volume
from kamal_dev.compose.service import Service
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem

LONGEST_SHOWN = 8

_KINDS = {"networks": "network", "secrets": "secret", "configs": "config"}
_CONTENTS = {"secrets": ("file", "environment"), "configs": ("file", "environment", "content")}
# Settings that can be in two places, and must then be equal.
_TWICE = {
    ("scale",): ("deploy", "replicas"),
    ("cpus",): ("deploy", "resources", "limits", "cpus"),
    ("mem_limit",): ("deploy", "resources", "limits", "memory"),
    ("mem_reservation",): ("deploy", "resources", "reservations", "memory"),
    ("pids_limit",): ("deploy", "resources", "limits", "pids"),
}


def check(project: Value, services: tuple[Service, ...]) -> None:
    """Raise ComposeError for everything that does not fit in active services and definitions."""
    active = {service.name: service for service in services if service.is_active}
    known = project.at("services")
    entries: Mapping[str, Value] = known.items if known is not None else {}
    problems = [problem for service in active.values() for problem in _of_service(service, entries, active, project)]
    problems += [*_cycle(active, entries), *_definitions(project)]
    if problems:
        raise ComposeError(problems)


def _of_service(
    service: Service, entries: Mapping[str, Value], active: Mapping[str, Service], project: Value
) -> Iterator[Problem]:
    value = entries[service.name]
    yield from _services(service, value, active.keys(), entries.keys())
    yield from _named(service, value, project)
    yield from _volumes(service, value, project)
    yield from _twice(service, value)


def _cycle(active: Mapping[str, Service], entries: Mapping[str, Value]) -> Iterator[Problem]:
    """Yield a cycle of services that need each other."""
    needs = {name: {needed for needed in service.needs if needed in active} for name, service in active.items()}
    users: dict[str, list[str]] = {name: [] for name in active}
    for name, needed in needs.items():
        for other in needed:
            users[other].append(name)
    free = [name for name, needed in needs.items() if not needed]
    while free:
        resolved = free.pop()
        del needs[resolved]
        for user in users[resolved]:
            needs[user].discard(resolved)
            if not needs[user]:
                free.append(user)
    if needs:
        path = [next(iter(needs))]
        while path[-1] not in path[:-1]:
            path.append(min(needs[path[-1]]))
        circle = [f"`{name}`" for name in path[path.index(path[-1]) :]]
        shown = [*circle[:3], "…", circle[-1]] if len(circle) > LONGEST_SHOWN else circle
        yield _at(entries[path[-1]], active[path[-1]], f"depends on itself: {' → '.join(shown)}")


def _definitions(project: Value) -> Iterator[Problem]:
    """Yield the secrets and configs without content, or with two contents."""
    for key, contents in _CONTENTS.items():
        listed = project.at(key)
        for name, item in listed.items.items() if listed is not None else ():
            given = [content for content in contents if content in item.items]
            if len(given) > 1:
                message = f"has {' and '.join(f'`{content}`' for content in given)}, which cannot be combined"
            elif not given and not item.items.keys() & {"external", "driver"}:
                message = f"has no content: one of {', '.join(f'`{content}`' for content in contents)} is needed"
            else:
                continue
            yield Problem(item.where.path, item.where.line, message, key=f"{key}.{name}", column=item.where.column)


def _twice(service: Service, value: Value) -> Iterator[Problem]:
    for one, other in _TWICE.items():
        first, second = value.at(*one), value.at(*other)
        if first is not None and second is not None and _amount(first) != _amount(second):
            yield _at(first, service, f"has `{one[0]}` {first.text}, and `{'.'.join(other)}` {second.text}")
    number = value.at("scale") or value.at("deploy", "replicas")
    named = value.at("container_name")
    if named is not None and number is not None and number.text.isdecimal() and int(number.text) > 1:
        yield _at(named, service, "has a `container_name`, which must be unique, but more than one")


def _amount(value: Value) -> float | str:
    """Return a number or a size as a number, any other text unchanged."""
    match = re.fullmatch(r"([\d.]+)\s*([bkmgtp]?)(?:i?b)?", value.text.lower())
    if not match or match[1].count(".") > 1 or match[1] == ".":
        return value.text
    return float(match[1]) * float(1024 ** "bkmgtp".index(match[2] or "b"))


def _services(service: Service, value: Value, active: Set[str], defined: Set[str]) -> Iterator[Problem]:
    depends = value.at("depends_on")
    listed = depends.items if depends is not None else {}
    for name in service.needs:
        item = listed.get(name)
        required = item.at("required") if item is not None else None
        # `required: false` allows a disabled profile, but not a wrong name.
        if name in active or (name in defined and required is not None and not required.is_on):
            continue
        yield _at(
            item or value, service, f"depends on the service `{name}`, which does not exist or is in no active profile"
        )


def _named(service: Service, value: Value, project: Value) -> Iterator[Problem]:
    for key, kind in _KINDS.items():
        listed = value.at(key)
        if listed is None:
            continue
        items = {**listed.items, **{item.string("source") if item.items else item.text: item for item in listed.list}}
        for name, item in items.items():
            if project.at(key, name) is None and (key, name) != ("networks", "default"):
                yield _at(item, service, f"refers to the {kind} `{name}`, which is not defined under `{key}`")
        if key == "networks" and items and value.string("network_mode"):
            yield _at(listed, service, "has both `networks` and `network_mode`, which cannot be combined")


def _volumes(service: Service, value: Value, project: Value) -> Iterator[Problem]:
    listed = value.at("volumes")
    for item in listed.list if listed is not None else ():
        name = volume.name(item)
        if name and project.at("volumes", name) is None:
            yield _at(item, service, f"refers to the volume `{name}`, which is not defined under `volumes`")


def _at(value: Value, service: Service, message: str) -> Problem:
    where = value.where
    return Problem(where.path, where.line, message, key=f"services.{service.name}", column=where.column)
