"""Published ports: only reachable from the host itself, unless `expose` is set. Opens none.

A port with an address is kept as written. Source: Compose Specification, services `ports`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from kamal_dev.compose import interpolate
from kamal_dev.compose.value import Value
from kamal_dev.model import Notice

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # noqa: S104 # named in order to warn of it
_EVERYWHERE = frozenset((EVERYWHERE, "::"))


def bound(service: Value) -> list[Value | str]:
    """Return all ports of a service, bound to the loopback address; empty if each has an address already."""
    listed = service.at("ports")
    items = listed.list if listed is not None else []
    if all(_address(item) for item in items):
        return []
    ports: list[Value | str] = []
    for item in items:
        here = item if _address(item) else local(item)
        if isinstance(here, Value) or here not in ports:
            ports.append(here)
    return ports


def notices(services: Mapping[str, Value]) -> Iterator[Notice]:
    """Warn about ports that are open to every network of the host although `expose` is not set."""
    for name, service in services.items():
        listed = service.at("ports")
        for item in listed.list if listed is not None else ():
            if _address(item) in _EVERYWHERE:
                text = f"services.{name}.ports: is open to every network of the host, because it names an address"
                yield Notice(item.where, text, is_warning=True)
        network = service.at("network_mode")
        if network is not None and network.text == "host":
            text = f"services.{name}.network_mode: every port it listens on is open to the networks of the host"
            yield Notice(network.where, text, is_warning=True)


def published(services: Iterable[Value], variables: Mapping[str, str], *, is_exposed: bool) -> tuple[str, ...]:
    """Return the host ports that services use, as `address:port/protocol`, with a stack's own variables."""
    ports: dict[str, None] = {}
    for service in services:
        listed = service.at("ports")
        for item in listed.list if listed is not None else ():
            address, host, container, protocol = taken(item, variables)
            address = address or (EVERYWHERE if is_exposed else LOOPBACK)
            shown = f"[{address}]" if ":" in address else address
            ports |= {f"{shown}:{port}/{protocol}": None for port in each(host, container)}
    return tuple(ports)


def named(service: Value, variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the ports that a service listens on in its container according to the file, as `port/protocol`.

    A range does not say which port, and unresolved variables say nothing.
    """
    listed = (item.list for key in ("ports", "expose") if (item := service.at(key)) is not None)
    parts = (taken(item, variables) for items in listed for item in items)
    ports = (f"{port}/{protocol}" for _, _, port, protocol in parts if port.isdecimal() and protocol in ("tcp", "udp"))
    return tuple(dict.fromkeys(ports))


def taken(item: Value, variables: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Return address, host port or range, container port, and protocol; empty if unresolved."""
    known = {key: _resolved(value, variables) for key, value in item.items.items()}
    if known:
        own = (known.get(key, "") for key in ("host_ip", "published", "target"))
        return (*own, known.get("protocol") or "tcp")  # type: ignore[return-value]
    text, _, protocol = _resolved(item, variables).partition("/")
    rest, _, container = text.rpartition(":")
    address, _, host = rest.rpartition(":")
    return address.strip("[]"), host, container, protocol or "tcp"


def _resolved(value: Value, variables: Mapping[str, str]) -> str:
    try:
        return interpolate.substitute(value.raw, variables.get) if isinstance(value.data, str) else value.text
    except ValueError:
        return ""


def each(host: str, container: str) -> tuple[int, ...]:
    """Return every port of a range; of a range for a single container port, the engine takes any."""
    first, _, last = host.partition("-")
    inside, _, end = container.partition("-")
    if not all(part.isdecimal() for part in (first, last or first, inside, end or inside)):
        return ()
    ports = range(int(first), int(last or first) + 1)
    return tuple(ports) if int(first) and len(ports) == int(end or inside) - int(inside) + 1 else ()


def _address(item: Value) -> str:
    """Return the address that a port is bound to; empty if there is none."""
    if item.items:
        return item.string("host_ip")
    host, colon, _ = _without_container(item.text).rpartition(":")
    return host.strip("[]") if colon else ""


def _without_container(text: str) -> str:
    """Return `address:published` of a short port; `published` is empty if the engine chooses it."""
    return text.rpartition(":")[0]


def local(item: Value) -> Value | str:
    """Return a port without an address, bound to the loopback address."""
    if item.items:
        address = replace(item, data=LOOPBACK, raw=LOOPBACK)
        return item.having({**item.items, "host_ip": address})
    text = item.text
    if ":" in _without_container(text):
        # An address that is empty here, and so on a host: `${ADDRESS}:80:80`.
        return f"{LOOPBACK}:{interpolate.escape(text.partition(':')[2])}"
    return f"{LOOPBACK}:{'' if ':' in text else ':'}{item.raw if isinstance(item.data, str) else text}"
