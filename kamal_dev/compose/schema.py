"""Validate a project against the JSON Schema of the Compose Specification.

Compose casts text to the type in the schema (`tty: "true"`, `cpus: ${CPUS}`), so text is judged by what it can
become. Source: Compose Specification, schema/compose-spec.json, kept in `specification/` with its licence.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kamal_dev.compose import scalar
from kamal_dev.compose.conformity import conforms
from kamal_dev.compose.value import Value
from kamal_dev.errors import Problem
from kamal_dev.model import REDACTED, Location

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from kamal_dev.compose.reading import ComposeFile
    from kamal_dev.syntax.node import Node

_KINDS = {
    **{"object": "a mapping", "array": "a list", "string": "text", "null": "nothing"},
    **{"integer": "a whole number", "boolean": "`true` or `false`"},
}
_WORDS = {**dict.fromkeys(("yes", "y", "on"), True), **dict.fromkeys(("no", "n", "off"), False)}
_Path = tuple[Any, ...]


def problems(project: Value, files: Iterable[ComposeFile]) -> Iterator[Problem]:
    """Return keys that are misspelt and values of a wrong type, at any depth; `files` are the project's files."""
    data = _plain(project)
    if conforms(data, _schema()):
        return
    roots = {file.display: file.documents for file in files}
    for error in _validator().iter_errors(data):
        for cause in _causes(error):
            yield from _problems(project, cause, roots)


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft7Validator

    return Draft7Validator(_schema())


@lru_cache(maxsize=1)
def _schema() -> Any:
    text = files(__package__).joinpath("specification/compose-spec.json").read_text(encoding="utf-8")
    return _strict(json.loads(text))


def _strict(schema: Any) -> Any:
    """Return the schema with only booleans where it also allows any other text: only some texts are booleans."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    is_loose = isinstance(schema.get("type"), list) and set(schema["type"]) == {"boolean", "string"}
    return {key: _strict(item) for key, item in schema.items()} | ({"type": "boolean"} if is_loose else {})


def _plain(value: Value, path: _Path = ()) -> Any:
    """Return the data to validate; short lists of `depends_on`, which are read as mappings, become lists again."""
    is_short = path[2:] == ("depends_on",) and all(item.data is None for item in value.items.values())
    if is_short and value.items:
        return list(value.items)
    if isinstance(value.data, dict):
        return {key: _plain(item, (*path, key)) for key, item in value.items.items()}
    if isinstance(value.data, list):
        return [_plain(item, (*path, index)) for index, item in enumerate(value.list)]
    return value.data if isinstance(value.data, (bool, int, float, type(None))) else value.text


def _causes(error: ValidationError) -> list[ValidationError]:
    """Return the most useful errors: if there are alternatives, the errors of the intended one."""
    if error.validator not in ("oneOf", "anyOf"):
        return [error]
    branches: dict[Any, list[ValidationError]] = {}
    for below in error.context or ():
        branches.setdefault(below.relative_schema_path[0], []).append(below)
    meant = [branch for branch in branches.values() if not any(_is_other_kind(below) for below in branch)]
    return [cause for below in meant[0] for cause in _causes(below)] if meant else [error]


def _is_other_kind(error: ValidationError) -> bool:
    """Return whether the alternative is of another kind than what was written, and so was not meant."""
    return error.validator == "type" and not error.relative_path


def _problems(project: Value, error: ValidationError, roots: Mapping[str, tuple[Node, ...]]) -> Iterator[Problem]:
    path = tuple(error.absolute_path)
    value = _at(project, path)
    # A secret whose value is not known yet can be anything.
    if value is None or REDACTED in value.text or _casts(value, error):
        return
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", ()))
        message = functools.partial(unknown, known=known) if known else _misnamed
        for key in _strangers(error):
            where = _key(key, value.items[key].where, roots)
            yield Problem(where.path, where.line, message(key), key=dotted((*path, key)), column=where.column)
    else:
        yield _problem(value, path, _message(value, error))


def _at(project: Value, path: Sequence[Any]) -> Value | None:
    value: Value | None = project
    for key in path:
        if value is None or isinstance(value.data, (str, int, float, type(None))):
            return value
        value = value.list[key] if isinstance(key, int) and value.list else value.items.get(str(key))
    return value


def _strangers(error: ValidationError) -> list[str]:
    patterns = tuple(error.schema.get("patternProperties", ()))
    known = error.schema.get("properties", {})
    return [key for key in error.instance if key not in known and not any(re.search(one, key) for one in patterns)]


def _key(key: str, where: Location, roots: Mapping[str, tuple[Node, ...]]) -> Location:
    """Return the location of a key whose value is at `where`: a mapping begins in the next line."""
    for root in roots.get(where.path, ()):
        for node in root.walk():
            for name, item in node.entries:
                if name.text == key and (item.followed.line, item.followed.column) == (where.line, where.column):
                    return Location(where.path, name.line, name.column)
    return where


def _misnamed(key: str) -> str:
    return f"`{key}` is not a name: letters, digits, `.`, `_` and `-` are allowed"


def unknown(key: str, known: Iterable[str]) -> str:
    """Return the message about an unknown key, with a suggestion."""
    known = list(known)
    near = difflib.get_close_matches(key, known, 1) or difflib.get_close_matches(
        key.lower().replace("-", "_"), known, 1
    )
    return "is not a Compose key" + (f"; did you mean `{near[0]}`?" if near else "")


def _casts(value: Value, error: ValidationError) -> bool:
    """Return whether Compose would cast the text to the required type."""
    if not isinstance(value.data, str) or error.validator not in ("type", "oneOf", "anyOf"):
        return False
    text = value.text.strip()
    became = _WORDS.get(text.lower(), scalar.resolve(text) if text else None)
    return not isinstance(became, str) and bool(_validator().evolve(schema=error.schema).is_valid(became))


def _message(value: Value, error: ValidationError) -> str:
    if value.data is None:
        return "has no value"
    if error.validator == "enum":
        return one_of(value.hidden, error.validator_value)
    if error.validator in ("type", "oneOf", "anyOf"):
        return f"must be {_wanted(error)}, not {described(value)}"
    if error.validator == "required":
        return f"needs {error.message.partition(' is')[0].replace(chr(39), '`')}"
    if error.validator in ("minimum", "maximum"):
        bound = "at least" if error.validator == "minimum" else "at most"
        return f"must be {bound} {error.validator_value}, not {described(value)}"
    return f"{described(value)} is not valid here"


def _near(text: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(text, list(known), 1)


def one_of(text: str, allowed: Iterable[Any]) -> str:
    """Return the message about text that is not one of the allowed words."""
    words = [str(word) for word in allowed]
    near = _near(text, words)
    asked = f"; did you mean `{near[0]}`?" if near else ""
    return f"must be one of {', '.join(f'`{word}`' for word in words)}, not `{text}`{asked}"


def _wanted(error: ValidationError) -> str:
    """Return the allowed kinds, each once."""
    below = [error] if error.validator == "type" else list(error.context or ())
    kinds: list[str] = []
    for item in below:
        if item.validator == "type":
            kinds += [item.validator_value] if isinstance(item.validator_value, str) else item.validator_value
    named = dict.fromkeys(_KINDS.get(kind, f"a {kind}") for kind in kinds if kind != "null")
    *first, last = named or {"something else": None}
    return f"{', '.join(first)} or {last}" if first else last


def described(value: Value) -> str:
    """Return the kind of a value, for a message."""
    if isinstance(value.data, dict):
        return "a mapping"
    return "a list" if isinstance(value.data, list) else f"`{value.hidden}`"


def _problem(value: Value, path: _Path, message: str) -> Problem:
    where = value.where
    return Problem(where.path, where.line, message, key=dotted(path), column=where.column)


def dotted(path: Iterable[Any]) -> str:
    """Return a path of keys as messages write it: `services.app.ports[0]`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).lstrip(".")
