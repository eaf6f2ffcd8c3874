"""Validate data against a JSON Schema, for the keywords that the Compose Specification uses.

The answer is yes or no, without a place. The library that names places is only used for invalid files: its import
takes longer than the rest of a start. Source: JSON Schema, draft 7.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from kamal_dev.values import dataclass

Schema = Mapping[str, Any]
_PLAIN: dict[str, type] = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
_SILENT = {"$schema", "$id", "title", "description", "default", "deprecated", "definitions"}
_OF_MEMBERS = {"properties", "patternProperties", "additionalProperties"}


def conforms(data: Any, schema: Schema) -> bool:
    """Whether `data` is valid. Also false if the schema has an unsupported keyword."""
    return _Judge(schema).accepts(data, schema)


@dataclass(frozen=True)
class _Judge:
    """Hold the schema that references lead into."""

    root: Schema

    def accepts(self, data: Any, schema: Schema) -> bool:
        words = schema.keys() - _SILENT - _OF_MEMBERS
        return all(word in _CHECKS and _CHECKS[word](self, data, schema[word]) for word in words) and (
            not isinstance(data, dict) or all(self._has(schema, name, value) for name, value in data.items())
        )

    def refers(self, data: Any, reference: str) -> bool:
        definition: Any = self.root
        for name in reference.removeprefix("#/").split("/"):
            definition = definition[name]
        return self.accepts(data, definition)

    def _has(self, schema: Schema, name: str, value: Any) -> bool:
        """Check a member of a mapping against each schema that its name selects."""
        properties, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
        chosen = [patterns[pattern] for pattern in patterns if re.search(pattern, name)]
        chosen += [properties[name]] if name in properties else []
        others = schema.get("additionalProperties", True)
        if isinstance(others, bool):
            return (others or bool(chosen)) and all(self.accepts(value, one) for one in chosen)
        return all(self.accepts(value, one) for one in chosen or [others])


def _is(data: Any, kind: str) -> bool:
    if kind in _PLAIN:
        return isinstance(data, _PLAIN[kind])
    if isinstance(data, float):
        return kind == "number" or data.is_integer()
    return isinstance(data, int) and not isinstance(data, bool)


def _is_one_of(data: Any, kinds: str | list[str]) -> bool:
    return any(_is(data, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))


_CHECKS: dict[str, Callable[[_Judge, Any, Any], bool]] = {
    "type": lambda judge, data, kinds: _is_one_of(data, kinds),
    "$ref": lambda judge, data, reference: judge.refers(data, reference),
    "oneOf": lambda judge, data, many: sum(judge.accepts(data, one) for one in many) == 1,
    "items": lambda judge, data, one: not isinstance(data, list) or all(judge.accepts(item, one) for item in data),
    "required": lambda judge, data, names: not isinstance(data, dict) or data.keys() >= set(names),
    # `true` is not equal to `1` here, unlike in Python.
    "uniqueItems": lambda judge, data, _: not isinstance(data, list) or len(set(map(repr, data))) == len(data),
    "enum": lambda judge, data, values: repr(data) in map(repr, values),
    "minimum": lambda judge, data, least: not _is(data, "number") or data >= least,
    "maximum": lambda judge, data, most: not _is(data, "number") or data <= most,
    "pattern": lambda judge, data, pattern: not isinstance(data, str) or bool(re.search(pattern, data)),
}
