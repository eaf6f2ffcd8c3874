"""The keys of config/dev.yml as JSON Schema, for editors. Judges no file."""

from __future__ import annotations

import functools
import json
from typing import Any

from kamal_dev.config import build_cache, constraint, kinds, provider
from kamal_dev.config.kinds import Kind
from kamal_dev.config.loading import layout
from kamal_dev.config.options import Group, Leaf, Old, shape

DRAFT = "http://json-schema.org/draft-07/schema#"
_EXTENSIONS = {"^x-": True}


def schema() -> dict[str, Any]:
    """Return what docs/dev.schema.json publishes."""
    return {"$schema": DRAFT, "title": "config/dev.yml of kamal-dev", **_object(layout(), may_be_empty=False)}


def schema_text() -> str:
    """Return the schema as the text of its file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _object(group: Group, *, may_be_empty: bool = True) -> dict[str, Any]:
    required = [name for name, child in group.children.items() if isinstance(child, Leaf) and child.is_required]
    schema: dict[str, Any] = {
        "type": ["object", "null"] if may_be_empty else "object",
        "properties": {name: _node(child) for name, child in group.children.items()},
        "patternProperties": _EXTENSIONS,
        "additionalProperties": False,
    }
    return schema | ({"required": required} if required else {})


def _node(node: Leaf | Old | Group) -> dict[str, Any]:
    if isinstance(node, Leaf):
        default = (
            {"default": node.default} if isinstance(node.default, bool | int | float | str) and node.default else {}
        )
        return {"description": node.option.doc, **fragment(node.option.kind), **default}
    if isinstance(node, Old):
        description = f"kamal-dev 0.3: use `{node.into}`." if node.into else f"kamal-dev 0.3; not used: {node.reason}."
        return {"description": description, "deprecated": True}
    described = {"description": node.doc} if node.doc else {}
    if node.shorthand:
        return described | {"oneOf": [{"type": "string"}, _object(node)]}
    return described | _object(node)


@functools.singledispatch
def fragment(kind: Kind) -> dict[str, Any]:
    """Return one kind of value as JSON Schema."""
    raise NotImplementedError(type(kind).__name__)


@fragment.register
def _(kind: kinds.Text) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^({kind.pattern})$"}


@fragment.register
def _(kind: kinds.Amount) -> dict[str, Any]:
    return {"type": ["string", "number"], "pattern": f"^({kind.pattern})$"}


@fragment.register
def _(kind: kinds.Name) -> dict[str, Any]:
    return {"type": "string", "pattern": f"^({kinds.NAME}{'|' if kind.may_be_empty else ''})$"}


@fragment.register
def _(kind: kinds.Boolean) -> dict[str, Any]:
    return {"type": "boolean"}


@fragment.register
def _(kind: kinds.Number) -> dict[str, Any]:
    name = "integer" if isinstance(kind, kinds.Whole) else "number"
    return {"type": name, "minimum": kind.minimum, "maximum": kind.maximum}


@fragment.register
def _(kind: kinds.Choice) -> dict[str, Any]:
    return {"type": "string", "enum": list(kind.names)}


@fragment.register
def _(kind: kinds.Many) -> dict[str, Any]:
    several = {"type": "array", "items": fragment(kind.item), "uniqueItems": True}
    return {"oneOf": [fragment(kind.item), several]} if kind.or_one else several


@fragment.register
def _(kind: kinds.Pairs) -> dict[str, Any]:
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^({kind.name})$"},
        "additionalProperties": {"type": ["string", "number", "boolean"]},
    }


@fragment.register
def _(kind: build_cache.CacheKind) -> dict[str, Any]:
    options = fragment(build_cache.OPTIONS) | {"properties": {"type": fragment(build_cache.TYPE)}, "required": ["type"]}
    return {"oneOf": [{"type": "boolean"}, options]}


@fragment.register
def _(kind: constraint.Constraints) -> dict[str, Any]:
    text = {"type": "string", "pattern": "[=!]="}
    return {"oneOf": [text, {"type": "array", "items": text}]}


@fragment.register
def _(kind: provider.Hosts) -> dict[str, Any]:
    host = _object(shape(provider.StaticHost), may_be_empty=False)
    return {"type": "array", "minItems": 1, "items": {"oneOf": [{"type": "string"}, host]}}


@fragment.register
def _(kind: provider.OneHost) -> dict[str, Any]:
    return {"oneOf": [{"type": "string"}, _object(shape(provider.StaticHost), may_be_empty=False)]}


@fragment.register
def _(kind: provider.ProviderSection) -> dict[str, Any]:
    return {"oneOf": [_provider(name) for name in provider.PROVIDERS]}


def _provider(name: str) -> dict[str, Any]:
    """Return the variant of one type; the default type needs no `type`."""
    schema = _object(provider.group(name), may_be_empty=False)
    schema["title"] = f"type: {name}"
    schema["properties"]["type"] = {"const": name, "description": provider.TYPE.doc}
    if name != provider.ProviderConfig().type:
        schema["required"] = ["type", *schema.get("required", [])]
    return schema
