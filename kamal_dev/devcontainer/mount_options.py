"""Read mounts in all notations (`--mount`, `-v`, objects) as a `Mount`, and write Compose's long form."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from typing import Any

from kamal_dev.devcontainer.configuration import Mount
from kamal_dev.devcontainer.reader import scalar
from kamal_dev.model import Location, Notice

TYPES = ("bind", "volume", "tmpfs", "image", "npipe", "cluster")

_SPELLINGS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "readOnly": "readonly"}
_PLACES = {
    "consistency": ("consistency",),
    "bind-propagation": ("bind", "propagation"),
    "bind-selinux": ("bind", "selinux"),
    "bind-create-host-path": ("bind", "create_host_path"),
    "volume-nocopy": ("volume", "nocopy"),
    "volume-subpath": ("volume", "subpath"),
    "tmpfs-size": ("tmpfs", "size"),
    "tmpfs-mode": ("tmpfs", "mode"),
}
_DEFINITIONS = ("volume-driver", "volume-opt", "volume-label")
_SWITCHES = ("bind-create-host-path", "volume-nocopy", "readonly")
_MODES = {
    "z": ("bind-selinux", "z"),
    "Z": ("bind-selinux", "Z"),
    "nocopy": ("volume-nocopy", "true"),
    **{word: ("consistency", word) for word in ("cached", "delegated", "consistent")},
    **{word: ("bind-propagation", word) for word in ("shared", "slave", "private", "rshared", "rslave", "rprivate")},
}


Parsed = tuple[Mount | None, tuple[Notice, ...]]


def parse(value: Any, where: Location) -> Parsed:
    """Read an item of `mounts`, or the value of `--mount`; the default type is `volume`.

    Returns no mount if a bind's source is a variable without a local value. Raises ValueError with the reason for
    what no engine would accept.
    """
    fields = _of_text(value) if isinstance(value, str) else _of_object(value)
    known: dict[str, str] = {}
    options: list[tuple[str, str]] = []
    strange: list[str] = []
    for key, text in fields:
        name = _SPELLINGS.get(key, key)
        if name in ("type", "source", "target", "readonly"):
            known[name] = text
        elif name in _PLACES or name in _DEFINITIONS:
            options.append((name, text))
        else:
            strange.append(name)
    if known.get("type") == "bind" and known.get("source") == "" and known.get("target"):
        return None, (_nothing(known["target"], where),)
    mount = Mount(
        known.get("type", "volume"),
        known.get("source", ""),
        known.get("target", ""),
        _is_on(known.get("readonly", "false")),
        tuple(options),
        where,
    )
    _check(mount)
    return mount, tuple(Notice(where, f"`{name}` of this mount has no equivalent in Compose") for name in strange)


def parse_short(text: str, where: Location) -> Parsed:
    """Read the value of `-v`: `[source:]target[:modes]`. Otherwise like `parse`."""
    source, target, modes = _split_short(text)
    if text.startswith(":") and target:
        return None, (_nothing(target, where),)
    is_bind = source.startswith(("/", ".", "~"))
    options = [("bind-create-host-path", "true")] if is_bind else []
    strange = []
    for word in modes:
        option = _MODES.get(word)
        if option and (is_bind or not option[0].startswith("bind-")):
            options.append(option)
        elif word not in ("ro", "rw"):
            strange.append(word)
    mount = Mount("bind" if is_bind else "volume", source, target, "ro" in modes, tuple(options), where)
    _check(mount)
    return mount, tuple(Notice(where, f"`{word}` of this volume has no equivalent in Compose") for word in strange)


def volume(mount: Mount) -> dict[str, Any]:
    """Return a mount as an item of a service's `volumes`, in Compose's long form."""
    item: dict[str, Any] = {"type": mount.type}
    if mount.source:
        item["source"] = mount.source
    item["target"] = mount.target
    if mount.read_only:
        item["read_only"] = True
    for name, text in mount.options:
        if name in _PLACES:
            *folder, key = _PLACES[name]
            place = item.setdefault(folder[0], {}) if folder else item
            place[key] = _option(name, text)
    return item


def definition(mount: Mount) -> dict[str, Any]:
    """Return the definition under top-level `volumes` for the volume that a mount names."""
    keys: dict[str, Any] = {}
    for name, text in mount.options:
        if name == "volume-driver":
            keys["driver"] = text
        elif name in _DEFINITIONS:
            key, _, value = text.partition("=")
            keys.setdefault("driver_opts" if name == "volume-opt" else "labels", {})[key] = value
    return keys


def _nothing(target: str, where: Location) -> Notice:
    return Notice(where, f"the source of the mount at `{target}` is empty on this machine: the mount is skipped")


def _of_text(text: str) -> list[tuple[str, str]]:
    """Split `key=value,flag`, in which a field with a comma is quoted as in CSV."""
    try:
        words = next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        raise ValueError(f"is not a list of `key=value`: {error}") from error
    fields = []
    for word in filter(None, map(str.strip, words)):
        key, equals, value = word.partition("=")
        if not equals and _SPELLINGS.get(key, key) not in _SWITCHES:
            raise ValueError(f"has `{key}` without a value: expected `type=…,source=…,target=…`")
        fields.append((key, value if equals else "true"))
    return fields


def _of_object(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    fields = []
    for key, item in value.items():
        if isinstance(item, (dict, list)):
            raise ValueError(f"has a `{key}` that is not a string")
        if item is not None:
            fields.append((key, scalar(item)))
    return fields


def _split_short(text: str) -> tuple[str, str, list[str]]:
    parts = text.split(":")
    if len(parts) == 1:
        return "", parts[0], []
    if len(parts) == 2 and not parts[1].startswith("/"):
        return "", parts[0], parts[1].split(",")
    if len(parts) > 3:
        raise ValueError("has more than three parts: expected `source:target:modes`")
    return parts[0], parts[1], parts[2].split(",") if len(parts) == 3 else []


def _check(mount: Mount) -> None:
    if mount.type not in TYPES:
        raise ValueError(f"has the type `{mount.type}`: expected one of {', '.join(TYPES)}")
    if not mount.target:
        raise ValueError("has no `target`")
    if mount.type in ("bind", "npipe") and not mount.source:
        raise ValueError(f"is of type {mount.type} and has no `source`")
    if mount.type == "tmpfs" and mount.source:
        raise ValueError("is of type tmpfs and has a `source`")


def _option(name: str, text: str) -> Any:
    if name in _SWITCHES:
        return _is_on(text)
    if name == "tmpfs-mode" and text.isdigit():
        return int(text, 8)
    return text


def _is_on(text: str) -> bool:
    return text.lower() in ("true", "1", "t")
