"""Typed access to a parsed devcontainer.json. Collects problems and continues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from kamal_dev.devcontainer.configuration import locate
from kamal_dev.errors import Problem
from kamal_dev.model import Location

Keys = tuple[str | int, ...]
T = TypeVar("T")

_NAMES = {
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


class PropertyReader:
    """Read properties by their path of keys; missing and null ones are the empty value.

    A value of the wrong type is added to `problems` and read as missing.
    """

    def __init__(self, value: Any, positions: Mapping[Keys, tuple[int, int]], display: str) -> None:
        self.value = value
        self.positions = positions
        self.display = display
        self.problems: list[Problem] = []

    def where(self, *keys: str | int) -> Location:
        """Return the place of a key or of the nearest key above it."""
        return locate(self.positions, self.display, keys)

    def refuse(self, keys: Keys, message: str) -> None:
        """Add a problem with its place."""
        place = self.where(*keys)
        self.problems.append(
            Problem(place.path, place.line, message, key=".".join(map(str, keys)), column=place.column)
        )

    def raw(self, *keys: str | int) -> Any:
        """Return the value, or None."""
        value = self.value
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def has(self, *keys: str | int) -> bool:
        """Return whether a property is present and not null."""
        return self.raw(*keys) is not None

    def text(self, *keys: str) -> str:
        """Read a string."""
        return self._read(keys, str) or ""

    def flag(self, *keys: str) -> bool | None:
        """Read true or false; None if missing."""
        return self._read(keys, bool)

    def mapping(self, *keys: str) -> dict[str, Any]:
        """Read an object."""
        return self._read(keys, dict) or {}

    def texts(self, *keys: str, alone: bool = False) -> tuple[str, ...]:
        """Read a list of strings; with `alone`, a single string counts as a list."""
        return tuple(self.each(*keys, kinds=(str,), expected="a string", alone=alone))

    def pairs(self, *keys: str) -> tuple[tuple[str, str], ...]:
        """Read an object of strings; other scalars become text, as in JavaScript."""
        return tuple((name, scalar(value)) for name, value in self.nullable_pairs(*keys))

    def nullable_pairs(self, *keys: str) -> tuple[tuple[str, str | None], ...]:
        """Read an object of strings in which null has its own meaning."""
        pairs: list[tuple[str, str | None]] = []
        for name, value in self.mapping(*keys).items():
            if isinstance(value, (str, bool, int, float)):
                pairs.append((name, scalar(value)))
            elif value is None:
                pairs.append((name, None))
            else:
                self.refuse((*keys, name), f"must be a string, not {_NAMES[type(value)]}")
        return tuple(pairs)

    def items(self, *keys: str, alone: bool = False) -> list[tuple[int, Any]]:
        """Read a list, each item with its index; with `alone`, a single value counts as a list."""
        value = self.raw(*keys)
        if alone and value is not None and not isinstance(value, list):
            value = [value]
        if value is not None and not isinstance(value, list):
            self.refuse(keys, f"must be a list, not {_NAMES[type(value)]}")
        return list(enumerate(value)) if isinstance(value, list) else []

    def each(self, *keys: str, kinds: tuple[type, ...], expected: str, alone: bool = False) -> list[Any]:
        """Read a list of items of some types; `expected` describes them."""
        items = []
        for index, item in self.items(*keys, alone=alone):
            if isinstance(item, kinds) and (bool in kinds or not isinstance(item, bool)):
                items.append(item)
            else:
                self.refuse((*keys, index), f"must be {expected}, not {_NAMES[type(item)]}")
        return items

    def _read(self, keys: Keys, kind: type[T]) -> T | None:
        value = self.raw(*keys)
        if value is None or isinstance(value, kind):
            return value
        self.refuse(keys, f"must be {_NAMES[kind]}, not {_NAMES[type(value)]}")
        return None


def scalar(value: str | float | bool | None) -> str:
    """Return a value as JavaScript's template strings print it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
