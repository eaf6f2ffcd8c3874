"""Merge one value over another by Compose's rules, in a normal form. Reads no file.

Short and long forms are first converted to one form, like in Compose, so that `environment: [A=1]` and `environment:
{A: 2}` meet under the same key. Source: Compose Specification, 13-merge.md.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace

from kamal_dev.compose import secret_text, volume
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem

_PAIRS = ("environment", "labels", "annotations", "sysctls")
_BUILD_PAIRS = ("args", "labels", "additional_contexts")
_REPLACED = {("command",), ("entrypoint",), ("healthcheck", "test")}
_LISTS = ("env_file", "label_file", "dns", "dns_search", "tmpfs")
_SHAPES: dict[str, tuple[type, ...]] = {
    "volumes": (list,),
    "profiles": (list,),
    "configs": (list,),
    "secrets": (list,),
    "cap_add": (list,),
    "security_opt": (list,),
    "deploy": (dict,),
    "depends_on": (list, dict),
    "networks": (list, dict),
    **dict.fromkeys(_PAIRS, (list, dict)),
}


def services(section: Value) -> dict[str, Value]:
    """Return the contents of `services`, each service in normal form. Raises ComposeError."""
    if not isinstance(section.data, dict):
        raise ComposeError(_wrong(section, "services", "a mapping"))
    return {name: service(name, value) for name, value in section.items.items()}


def service(name: str, value: Value) -> Value:
    """Return a service in its long form. Raises ComposeError with every wrong shape.

    An empty service adds nothing to an earlier file.
    """
    path = f"services.{name}"
    if value.data is None:
        return value.having({})
    if not isinstance(value.data, dict):
        raise ComposeError(_wrong(value, path, "a mapping"))
    problems = [
        _wrong(value.items[key], f"{path}.{key}", " or ".join(_KINDS[kind] for kind in kinds))
        for key, kinds in _SHAPES.items()
        if key in value.items and value.items[key].data is not None and not isinstance(value.items[key].data, kinds)
    ]
    build = value.items.get("build")
    if build is not None and not isinstance(build.data, (str, dict)):
        problems.append(_wrong(build, f"{path}.build", "a path or a mapping"))
    if problems:
        raise ComposeError(problems)
    return value.having({key: _canonical(key, item) for key, item in value.items.items()})


def over(base: Value | None, upper: Value, path: tuple[str, ...] = ()) -> Value:
    """Return `base` overridden by `upper`; `path` is the keys from the service to here."""
    if base is None or path in _REPLACED or (path and path[-1].startswith("x-")):
        return upper
    if upper.data is None:
        return upper if _is_pair(path) else base
    if isinstance(base.data, dict) and isinstance(upper.data, dict):
        entries = {key: value for key, value in base.items.items() if key not in upper.resets}
        for key, value in upper.items.items():
            entries[key] = over(entries.get(key), value, (*path, key))
        # Missing values of a service are filled in by the extending file, not by the extended one.
        return Value(entries, base.where, upper.base if path == () else base.base, resets=upper.resets)
    if isinstance(base.data, list) and isinstance(upper.data, list):
        return replace(upper, data=unique(path, [*base.list, *upper.list]))
    return upper


def projects(base: Value | None, upper: Value) -> Value:
    """Return one compose file merged over another; both have the services of `services()`."""
    if base is None:
        return upper
    entries = {key: value for key, value in base.items.items() if key not in upper.resets}
    for key, value in upper.items.items():
        below = entries.get(key)
        if key == "services" and below is not None:
            kept = {name: item for name, item in below.items.items() if name not in value.resets}
            above = {name: over(kept.get(name), item) for name, item in value.items.items()}
            entries[key] = below.having({**kept, **above})
        else:
            entries[key] = over(below, value, ("", key))
    return base.having(entries)


def unique(path: tuple[str, ...], items: list[Value]) -> list[Value]:
    """Return the list without items whose key a later item defines, which takes the first one's place."""
    index = _INDEXES.get(path)
    if index is None:
        return items
    by_key: dict[str, Value] = {}
    for item in items:
        by_key[index(item)] = item
    return list(by_key.values())


def _is_pair(path: tuple[str, ...]) -> bool:
    """Return whether the keys lead to an entry of a mapping that may also be a `KEY=value` list: null replaces it."""
    folder = path[:-1]
    return folder[:1] in {(key,) for key in _PAIRS} or folder in {("build", key) for key in _BUILD_PAIRS}


def _canonical(key: str, value: Value) -> Value:
    if key == "build":
        return _build(value)
    if key in _PAIRS:
        return _pairs(value)
    if key == "deploy" and "labels" in value.items:
        return value.having({**value.items, "labels": _pairs(value.items["labels"])})
    if key in ("depends_on", "networks") and isinstance(value.data, list):
        return replace(value, data={item.text: replace(item, data=None) for item in value.list})
    if key in _LISTS and isinstance(value.data, (str, dict)):
        value = replace(value, data=[replace(value, resets=frozenset())])
    if isinstance(value.data, list):
        return replace(value, data=unique((key,), value.list))
    return value


def _build(value: Value) -> Value:
    if isinstance(value.data, str):
        return replace(value, data={"context": value})
    return value.having(
        {key: _pairs(item) if key in _BUILD_PAIRS else item for key, item in value.items.items()},
    )


def _pairs(value: Value) -> Value:
    """Return a list of `KEY=value` as a mapping; a key without a value is null."""
    if not isinstance(value.data, list):
        return value
    entries = {}
    for item in value.list:
        key, equals, text = secret_text.pair(item.data if isinstance(item.data, str) else item.text)
        raw = item.raw.partition("=")[2] if "=" in item.raw else item.raw
        entries[key] = replace(item, data=text if equals else None, raw=raw)
    return replace(value, data=entries)


def _mount_key(folder: str) -> Callable[[Value], str]:
    def key(item: Value) -> str:
        source = item.string("source") if item.items else item.text
        return item.string("target") or posixpath.join(folder, source)

    return key


def _path_key(item: Value) -> str:
    return posixpath.join(item.base.as_posix(), item.string("path") if item.items else item.text)


def _target_key(item: Value) -> str:
    return volume.target(item) or f"\0{item.text}"


_INDEXES: dict[tuple[str, ...], Callable[[Value], str]] = {
    ("volumes",): _target_key,
    ("secrets",): _mount_key("/run/secrets"),
    ("configs",): _mount_key("/"),
    ("env_file",): _path_key,
    ("label_file",): _path_key,
    **{(key,): lambda item: item.text for key in ("cap_add", "cap_drop", "profiles")},
    ("build", "tags"): lambda item: item.text,
}
_KINDS: dict[type, str] = {list: "a list", dict: "a mapping"}


def _wrong(value: Value, key: str, expected: str) -> Problem:
    return Problem(value.where.path, value.where.line, f"must be {expected}", key=key, column=value.where.column)
