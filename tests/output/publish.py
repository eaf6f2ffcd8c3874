"""Write docs/events.schema.json from the types of events: `python -m tests.output.publish`."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from jsonschema import Draft202012Validator

from kamal_dev.output.event import SCHEMA, Event
from kamal_dev.output.summary import RunSummary

PATH = Path(__file__).parents[2] / "docs" / "events.schema.json"
PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def schema() -> dict[str, Any]:
    """Return the schema of one line: an event, or the result that comes last."""
    defs: dict[str, Any] = {}
    event = {**described(Event, defs), "required": ["type", "schema", "phase", "status", "time"]}
    result = described(RunSummary, defs)
    for name, line in (("event", event), ("result", result)):
        line["properties"] = {"type": {"const": name}, "schema": {"const": SCHEMA}, **line["properties"]}
        line["required"] = list(dict.fromkeys(["type", "schema", *line["required"], "time"]))
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "One line of `dev … --json`",
        "oneOf": [{"$ref": "#/$defs/Event"}, {"$ref": "#/$defs/RunSummary"}],
        "$defs": {"Event": event, "RunSummary": result, **defs},
    }


def described(kind: type, defs: dict[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    properties = {each.name: node(hints[each.name], defs) for each in fields(kind)}
    return {
        "description": " ".join((kind.__doc__ or "").split()),
        "type": "object",
        "properties": properties,
        "required": [each.name for each in fields(kind) if is_required(each)],
        "additionalProperties": False,
    }


def is_required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def node(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in PLAIN:
        return {"type": PLAIN[kind]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [{"type": "null"} if each is type(None) else node(each, defs) for each in arguments]}
    if origin is tuple:
        return {"type": "array", "items": node(arguments[0], defs)}
    if origin is Mapping:
        values = {} if arguments[1] is Any else node(arguments[1], defs)
        return {"type": "object", "additionalProperties": values}
    assert is_dataclass(kind), kind
    if kind.__name__ not in defs:
        defs[kind.__name__] = described(kind, defs)
    return {"$ref": f"#/$defs/{kind.__name__}"}


@cache
def validator() -> Draft202012Validator:
    """Return what checks lines against the published schema; `jsonschema.validate` would check the schema each time."""
    published = json.loads(PATH.read_text())
    Draft202012Validator.check_schema(published)
    return Draft202012Validator(published)


def text() -> str:
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    PATH.write_text(text())
