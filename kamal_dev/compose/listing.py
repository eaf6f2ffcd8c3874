"""The services of a compose file, as `dev services` lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kamal_dev.compose.compose_project import ComposeProject
from kamal_dev.compose.service import Service
from kamal_dev.compose.value import Value
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

_NAME = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


@dataclass(frozen=True)
class ListedService:
    """Describe a service; `image` is what it runs, `health` the command of its health check."""

    name: str
    image: str
    ports: tuple[str, ...] = ()
    health: str = ""
    depends_on: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    is_main: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {
            "service": self.name,
            "image": self.image,
            "ports": list(self.ports),
            "health": self.health,
            "depends_on": list(self.depends_on),
            "profiles": list(self.profiles),
            "main": self.is_main,
        }


def services(project: ComposeProject, images: Mapping[str, str], main: str) -> tuple[ListedService, ...]:
    """Return every service in the order of the files; `images` are the built ones."""
    values = project.model.items["services"].items
    return tuple(_listed(service, values[service.name], images, main) for service in project.services)


def read(listed: Any) -> tuple[ListedService, ...]:
    """Return the services that a manifest lists, which comes from a host; empty if it lists none or is not valid."""
    if not isinstance(listed, list | tuple):
        return ()
    entries = [item for item in listed if isinstance(item, dict) and _NAME.fullmatch(str(item.get("service", "")))]
    return tuple(
        ListedService(
            str(item["service"]),
            str(item.get("image", "")),
            _texts(item.get("ports")),
            str(item.get("health", "")),
            _texts(item.get("depends_on")),
            _texts(item.get("profiles")),
            is_main=item.get("main") is True,
        )
        for item in entries
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _listed(service: Service, value: Value, images: Mapping[str, str], main: str) -> ListedService:
    items = value.items
    return ListedService(
        service.name,
        images.get(service.name) or service.image,
        tuple(map(_port, items["ports"].list)) if "ports" in items else (),
        _health(items["healthcheck"]) if "healthcheck" in items else "",
        tuple(_dependencies(items["depends_on"])) if "depends_on" in items else (),
        service.profiles,
        is_main=service.name == main,
    )


def _text(items: Mapping[str, Value], key: str) -> str:
    return items[key].hidden if key in items else ""


def _port(value: Value) -> str:
    if not value.items:
        return value.hidden
    published, target, protocol = (_text(value.items, key) for key in ("published", "target", "protocol"))
    port = f"{published}:{target}" if published else target
    return f"{port}/{protocol}" if protocol not in ("", "tcp") else port


def _health(check: Value) -> str:
    if "disable" in check.items and check.items["disable"].is_on:
        return "disabled"
    if "test" not in check.items:
        return ""
    test = check.items["test"]
    words = [item.hidden for item in test.list] or [test.hidden]
    return " ".join(words[1:] if words[0] in ("CMD", "CMD-SHELL") else words)


def _dependencies(value: Value) -> Iterable[str]:
    for item in value.list:
        yield item.hidden
    for name, how in value.items.items():
        condition = _text(how.items, "condition")
        yield f"{name} ({condition.removeprefix('service_')})" if condition else name
