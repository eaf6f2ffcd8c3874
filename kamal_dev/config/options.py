"""An option is a dataclass field that carries its kind and its explanation. Does no I/O."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import MISSING
from typing import TYPE_CHECKING, Any

from kamal_dev.config.problems import join
from kamal_dev.values import dataclass

if TYPE_CHECKING:
    from kamal_dev.config.kinds import Kind


@dataclass(frozen=True)
class Option:
    """Explain one key of config/dev.yml: the single source for the loader, JSON Schema, example and manual.

    `key` is the dotted place in the file if it is not the field's name; `example` is a value as YAML; `otherwise`
    describes an empty default.
    """

    kind: Kind
    doc: str
    key: str = ""
    example: str = ""
    otherwise: str = ""


@dataclass(frozen=True)
class Section:
    """Explain a key that contains other keys. A plain text value sets the key `shorthand`."""

    cls: type
    doc: str
    key: str = ""
    shorthand: str = ""


def option(
    kind: Kind, doc: str, *, default: Any = MISSING, key: str = "", example: str = "", otherwise: str = ""
) -> Any:
    """Declare an option as a dataclass field; without `default` it is required."""
    described = Option(kind, " ".join(doc.split()), key, example, otherwise)
    return dataclasses.field(default=default, metadata={"option": described})


def section(cls: type, doc: str, *, key: str = "", shorthand: str = "") -> Any:
    """Declare a section as a dataclass field."""
    described = Section(cls, " ".join(doc.split()), key, shorthand)
    return dataclasses.field(default_factory=cls, metadata={"section": described})


@dataclass(frozen=True)
class Leaf:
    """Place an option in the file: its dotted path, its default, and whether it must be there."""

    path: str
    option: Option
    default: Any = None
    is_required: bool = False


@dataclass(frozen=True)
class Old:
    """Say what becomes of a key of kamal-dev 0.3.

    `into` is the key that takes its value; if it is empty, `reason` says why the key has no meaning. `suffix` is
    removed from the value.
    """

    path: str
    into: str = ""
    reason: str = ""
    suffix: str = ""


@dataclass(frozen=True)
class Group:
    """Hold the keys that are allowed at one place of the file."""

    path: str = ""
    doc: str = ""
    shorthand: str = ""
    children: Mapping[str, Leaf | Old | Group] = dataclasses.field(default_factory=dict)

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every option at and below this place, in order."""
        leaves: list[Leaf] = []
        for child in self.children.values():
            leaves += child.leaves if isinstance(child, Group) else [child] if isinstance(child, Leaf) else []
        return tuple(leaves)


@functools.cache
def shape(cls: type, path: str = "", old: tuple[Old, ...] = ()) -> Group:
    """Turn a dataclass into the keys of a file below `path`."""
    children: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        described = field.metadata.get("option") or field.metadata.get("section")
        if described:
            _put(children, path, (described.key or field.name).split("."), _node(field, described, path))
    for entry in old:
        _put(children, path, entry.path.split("."), entry)
    return Group(path, children=children)


def build(cls: type, values: Mapping[str, Any], path: str = "") -> Any:
    """Make the dataclass from values by dotted path; missing ones keep their defaults."""
    arguments: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        described = field.metadata.get("option") or field.metadata.get("section")
        place = join(path, (described.key or field.name)) if described else ""
        if isinstance(described, Section):
            arguments[field.name] = build(described.cls, values, place)
        elif place in values:
            arguments[field.name] = values[place]
    return cls(**arguments)


def _node(field: dataclasses.Field[Any], described: Option | Section, path: str) -> Leaf | Group:
    place = join(path, described.key or field.name)
    if isinstance(described, Option):
        is_required = field.default is MISSING
        return Leaf(place, described, None if is_required else field.default, is_required)
    return Group(place, described.doc, described.shorthand, dict(shape(described.cls, place).children))


def _put(children: dict[str, Any], path: str, keys: list[str], node: Leaf | Group | Old) -> None:
    """Put a node at its place, creating the sections on the way."""
    for depth, key in enumerate(keys[:-1], 1):
        group = children.setdefault(key, Group(join(path, *keys[:depth])))
        children = group.children
    children[keys[-1]] = node
