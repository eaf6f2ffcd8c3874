"""The part of a devcontainer that a release describes, for verbs that enter its containers from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from kamal_dev.devcontainer.configuration import Devcontainer

# The values of these are never empty, or are used as they are: without an entry, that of another devcontainer stays.
_FIELDS = {"service": "service", "workspaceFolder": "workspace_folder"}
_OPTIONAL = {
    "remoteUser": "remote_user",
    "containerUser": "container_user",
    "forwardPorts": "forward_ports",
    "appPort": "app_ports",
    "portsAttributes": "ports_attributes",
    "otherPortsAttributes": "other_ports_attributes",
}
_KINDS = ("image", "dockerfile", "compose", "none")


def entry(own: Devcontainer) -> dict[str, Any]:
    """Return what a release describes of a devcontainer, as JSON; what has no value is left out.

    Variables of `remoteEnv` whose value depends on this machine are only named, in `localEnv`: it may be secret.
    """
    values = {name: getattr(own, attribute) for name, attribute in {**_FIELDS, **_OPTIONAL}.items()}
    values["remoteEnv"] = {name: value for name, value in own.remote_env if name not in own.local_env}
    values["localEnv"] = [name for name, _ in own.remote_env if name in own.local_env]
    return {"kind": own.kind, **{name: _plain(value) for name, value in values.items() if value}}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def described(own: Devcontainer, entry: Mapping[str, Any], display: str) -> Devcontainer:
    """Return a devcontainer with what a release describes; the rest is that of `own`.

    So are the values of the variables in `localEnv`. The entry comes from a host: values of another type are left out,
    and no `${localEnv:…}` in it is replaced.
    """
    fields = {name: _READ[key](entry.get(key)) for key, name in _FIELDS.items()}
    known = {name: value for name, value in fields.items() if value}
    known |= {name: _READ[key](entry.get(key)) for key, name in _OPTIONAL.items()}
    kind = entry.get("kind")
    return replace(
        own,
        **known,
        remote_env=_variables(own, entry),
        kind=kind if kind in _KINDS else own.kind,
        configuration={name: entry[name] for name in _OPTIONAL if name in entry},
        positions={},
        display=display,
    )


def _variables(own: Devcontainer, entry: Mapping[str, Any]) -> tuple[tuple[str, str | None], ...]:
    written, local = entry.get("remoteEnv"), entry.get("localEnv")
    items = written.items() if isinstance(written, dict) else ()
    known = {str(name): value for name, value in items if value is None or isinstance(value, str)}
    lent = [name for name in local if isinstance(name, str)] if isinstance(local, list | tuple) else []
    return (*known.items(), *((name, value) for name, value in own.remote_env if name in lent))


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""


def _ports(value: Any) -> tuple[int | str, ...]:
    items = value if isinstance(value, list | tuple) else ()
    return tuple(item for item in items if (isinstance(item, int) and not isinstance(item, bool)) or _text(item))


def _published(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in _ports(value))


def _attributes(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


_READ: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("service", "workspaceFolder", "remoteUser", "containerUser"), _text),
    "forwardPorts": _ports,
    "appPort": _published,
    **dict.fromkeys(("portsAttributes", "otherPortsAttributes"), _attributes),
}
