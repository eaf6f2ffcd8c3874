"""Which volumes of a compose project have their files where only the stack uses them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kamal_dev.compose import volume
from kamal_dev.compose.mounts import Mounted
from kamal_dev.compose.value import Value


def of_stack(model: Value, started: Iterable[str], mounted: Mounted) -> tuple[str, ...]:
    """Return the keys of the volumes that these services or devcontainer.json mount, sorted.

    Left out are external volumes and those with a driver or options: the engine may mount them from elsewhere.
    """
    used = {name for service in started for name in _of_service(model.at("services", service))}
    own = {name for name in used if _is_own(model.at("volumes", name))}
    added = {name for name, definition in mounted.definitions if not _has_driver(definition)}
    return tuple(sorted(own | {name for name in added if _is_own(model.at("volumes", name))}))


def _of_service(service: Value | None) -> Iterator[str]:
    listed = service.at("volumes") if service is not None else None
    yield from (name for item in (listed.list if listed is not None else ()) if (name := volume.name(item)))


def _is_own(definition: Value | None) -> bool:
    if definition is None:
        return True
    external, options = definition.at("external"), definition.at("driver_opts")
    is_external = external is not None and (external.is_on or bool(external.items))
    return not is_external and not (options and options.items) and definition.string("driver") in ("", "local")


def _has_driver(definition: dict[str, object]) -> bool:
    return bool(definition.get("driver_opts")) or definition.get("driver", "local") != "local"
