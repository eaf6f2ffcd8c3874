"""Which networks of a compose project get their addresses from the pools of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kamal_dev.compose.value import Value

OF_POOLS = ("", "default", "bridge")


def from_pools(model: Value, started: Iterable[str]) -> tuple[str, ...]:
    """Return the keys of the networks that these services join, sorted, without those that bring their addresses."""
    joined = {name for service in started for name in _of_service(model.at("services", service))}
    return tuple(sorted(name for name in joined if _is_from_pools(model.at("networks", name))))


def _of_service(service: Value | None) -> Iterator[str]:
    if service is None or service.at("network_mode") is not None:
        return
    listed = service.at("networks")
    names = [*listed.items, *(item.text for item in listed.list)] if listed is not None else []
    yield from names or ("default",)


def _is_from_pools(network: Value | None) -> bool:
    if network is None:
        return True
    external, ranges = network.at("external"), network.at("ipam", "config")
    is_external = external is not None and (external.is_on or bool(external.items))
    has_own = ranges is not None and any(item.at("subnet") for item in ranges.list)
    return not is_external and not has_own and network.string("driver") in OF_POOLS
