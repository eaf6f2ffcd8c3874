"""Whether the parts of a project fit together, as Compose checks it before it starts anything.

Source: compose-go, the consistency check of its loader.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kamal_dev.compose import volume
from kamal_dev.compose.service import Service
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem

_KINDS = {"networks": "network", "secrets": "secret", "configs": "config"}


def check(project: Value, services: tuple[Service, ...]) -> None:
    """Raise ComposeError for every service of those that are active which names something that is not there."""
    active = {service.name for service in services if service.is_active}
    known = project.at("services")
    entries: Mapping[str, Value] = known.items if known is not None else {}
    problems = [
        problem
        for service in services
        if service.is_active
        for problem in _of_service(service, entries[service.name], active, project)
    ]
    if problems:
        raise ComposeError(problems)


def _of_service(service: Service, value: Value, active: set[str], project: Value) -> Iterator[Problem]:
    yield from _services(service, value, active)
    yield from _named(service, value, project)
    yield from _volumes(service, value, project)


def _services(service: Service, value: Value, active: set[str]) -> Iterator[Problem]:
    depends = value.at("depends_on")
    listed = depends.items if depends is not None else {}
    for name in service.needs:
        item = listed.get(name)
        required = item.at("required") if item is not None else None
        if name in active or (required is not None and not required.is_on):
            continue
        yield _at(item or value, service, f"needs the service `{name}`, which is not there or not in an active profile")


def _named(service: Service, value: Value, project: Value) -> Iterator[Problem]:
    for key, kind in _KINDS.items():
        listed = value.at(key)
        if listed is None:
            continue
        items = {**listed.items, **{item.string("source") if item.items else item.text: item for item in listed.list}}
        for name, item in items.items():
            if project.at(key, name) is None and (key, name) != ("networks", "default"):
                yield _at(item, service, f"names the {kind} `{name}`, which is not defined under `{key}`")
        if key == "networks" and value.string("network_mode"):
            yield _at(listed, service, "has both `networks` and `network_mode`, which exclude each other")


def _volumes(service: Service, value: Value, project: Value) -> Iterator[Problem]:
    listed = value.at("volumes")
    for item in listed.list if listed is not None else ():
        name = volume.name(item)
        if name and project.at("volumes", name) is None:
            yield _at(item, service, f"names the volume `{name}`, which is not defined under `volumes`")


def _at(value: Value, service: Service, message: str) -> Problem:
    where = value.where
    return Problem(where.path, where.line, message, key=f"services.{service.name}", column=where.column)
