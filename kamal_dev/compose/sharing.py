"""What stacks on one host would share by accident, and what they get instead: names, and ports of the host.

A name or port that contains a variable of the stack is kept as written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kamal_dev.compose import interpolate, ports, stack_variables
from kamal_dev.compose.value import Value
from kamal_dev.errors import Problem
from kamal_dev.model import Notice
from kamal_dev.syntax.emitter import Tagged

KINDS = ("networks", "volumes")
_OWN = frozenset(("COMPOSE_PROJECT_NAME", *stack_variables.NAMES))


def is_fixed(value: Value | None) -> bool:
    """Return whether a value is the same in all stacks."""
    return value is not None and bool(value.text) and not _OWN.intersection(interpolate.names(value.raw))


def entries(value: Value) -> dict[str, Any]:
    """Return what the overlay changes in a service, apart from its ports."""
    return {"container_name": Tagged("!reset")} if is_fixed(value.at("container_name")) else {}


def definitions(model: Value, kind: str, stack: str) -> dict[str, dict[str, str]]:
    """Return the networks or volumes with fixed names, each with a name of the stack's own."""
    listed = model.at(kind)
    items = listed.items if listed is not None else {}
    named = (name for name, item in items.items() if is_fixed(item.at("name")) and not _is_external(item))
    return {name: {"name": f"{stack}_{name}"} for name in named}


def published(service: Value, variables: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return the fixed ports of a service as `service:published:target/protocol`."""
    return tuple(dict.fromkeys(key for key, *_ in _all_ports(service, variables, name)))


def bound(
    service: Value, variables: Mapping[str, str], name: str, allotted: Mapping[str, int], *, is_exposed: bool
) -> list[Value | str]:
    """Return all ports of a service, on the ports of the host that were `allotted`; the engine chooses the others."""
    listed = service.at("ports")
    items = listed.list if listed is not None else []
    default = _default(is_exposed=is_exposed)
    result: list[Value | str] = []
    for item in items:
        fixed = [
            f"{address or default}:{allotted.get(key, '')}:{target}/{protocol}"
            for key, address, target, protocol in _ports(item, variables, name)
        ]
        result += fixed or [ports.local(item) if not is_exposed else item]
    return [item for at, item in enumerate(result) if isinstance(item, Value) or item not in result[:at]]


def of_host(
    services: Iterable[tuple[str, Value]],
    variables: Mapping[str, str],
    allotted: Mapping[str, int],
    *,
    is_exposed: bool,
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of all fixed ports of services, and those that were allotted as `address:port/protocol`."""
    names: dict[str, None] = {}
    taken: dict[str, None] = {}
    for service, value in services:
        for key, address, _, protocol in _all_ports(value, variables, service):
            names[key] = None
            if key in allotted:
                taken[f"{address or _default(is_exposed=is_exposed)}:{allotted[key]}/{protocol}"] = None
    return tuple(names), tuple(taken)


def _default(*, is_exposed: bool) -> str:
    return ports.EVERYWHERE if is_exposed else ports.LOOPBACK


def _all_ports(service: Value, variables: Mapping[str, str], name: str) -> Iterator[tuple[str, str, str, str]]:
    listed = service.at("ports")
    for item in listed.list if listed is not None else ():
        yield from _ports(item, variables, name)


def problems(model: Value) -> Iterator[Problem]:
    """Yield what several stacks on one host cannot share."""
    networks = model.at("networks")
    for name, item in networks.items.items() if networks is not None else ():
        if _is_external(item):
            yield _problem(f"networks.{name}", item, f"is external, and would connect all stacks on a host; {ONE}")
    services = model.at("services")
    for name, service in services.items.items() if services is not None else ():
        mode = service.at("network_mode")
        if mode is not None and mode.text == "host" and any(service.at(key) for key in ("ports", "expose")):
            message = f"its ports are those of the host, where only one stack can have them; {ONE}"
            yield _problem(f"services.{name}.network_mode", mode, message)


def notices(model: Value) -> Iterator[Notice]:
    """Warn about data that the stacks on a host share."""
    volumes = model.at("volumes")
    for name, item in volumes.items.items() if volumes is not None else ():
        if _is_external(item):
            yield Notice(item.where, f"volumes.{name}: is external, and all stacks on a host share it", is_warning=True)


ONE = "remove it, or set `placement.per_host` to 1"


def _problem(key: str, value: Value, message: str) -> Problem:
    return Problem(value.where.path, value.where.line, message, key=key, column=value.where.column)


def _is_external(item: Value) -> bool:
    external = item.at("external")
    return external is not None and (external.is_on or bool(external.items))


def _ports(item: Value, variables: Mapping[str, str], name: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield key, address, target and protocol of each fixed port."""
    address, host, container, protocol = ports.taken(item, variables)
    shown = f"[{address}]" if ":" in address else address
    targets = ports.each(container, container)
    for port, target in zip(ports.each(host, container), targets, strict=False):
        yield f"{name}:{port}:{target}/{protocol}", shown, str(target), protocol
