"""Read and write Compose's dialect of dotenv. Opens no file.

It differs from the Python package: `KEY: value` is valid, `KEY` alone takes the variable of the environment, and
backslashes are escapes only in double quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kamal_dev.compose import interpolate
from kamal_dev.compose.interpolate import Lookup
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.pattern import pattern

LARGEST = 1 << 18
LONGEST = 1 << 20

_EXPORT = pattern(r"export\s+")
_KEY = pattern(r"[\w.\-\[\]][\w.\-\[\] \t\v\f\r\x85\xa0]*")
_ESCAPE = pattern(r'\\(?:([abcfnrtv"\\])|(\$)|0([0-7]{1,3})?)')
_CONTROLS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_SPACE = " \t\v\f\r\x85\xa0"
_RAW_NAME = pattern(r"[\w.\-\[\]]+")
_SAFE = pattern(r"[A-Za-z0-9_./:@%+,=-]+")


def parse(text: str, display: str, lookup: Lookup) -> dict[str, str]:
    """Return the variables that a file sets; `lookup` resolves mentioned variables and keys without a value.

    Like in Compose, `lookup` wins over earlier lines inside a value. Raises ComposeError with the line.
    """
    values: dict[str, str] = {}
    length = 0
    for key, value, quote, line in _statements(text, display):
        if value is None:
            taken = lookup(key)
            if taken is not None:
                values[key] = taken
            continue
        try:
            values[key] = _resolved(value, quote, lambda name: _first(lookup(name), values.get(name)))
        except ValueError as error:
            raise ComposeError(Problem(display, line, f"{key}: {error}")) from error
        length += len(values[key])
        if length > LONGEST:
            raise ComposeError(Problem(display, line, f"{key}: the values so far are longer than {LONGEST} characters"))
    return {key: value for key, value in values.items() if not key[:1].isdigit()}


def from_raw(text: str, display: str) -> str:
    """Convert `text`, in the format of `docker run --env-file` and `format: raw`, to this dialect.

    A value is everything after the first `=` of the line, including quotes, `#`, `$` and backslashes. Raises
    ComposeError with the line. Source: docker/cli, pkg/kvfile.
    """
    lines = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        statement = line.removesuffix("\r").lstrip(" \t")
        if not statement or statement.startswith("#"):
            continue
        name, equals, value = statement.partition("=")
        if not _RAW_NAME.fullmatch(name):
            raise ComposeError(Problem(display, number, f"`{name[:40]}` is not a variable name"))
        lines.append(f"{name}={quote(value)}\n" if equals else f"{name}\n")
    return "".join(lines)


def keys(text: str, display: str) -> tuple[str, ...]:
    """Return the names that a file gives a value. Raises ComposeError with the line."""
    return tuple(key for key, value, _, _ in _statements(text, display) if value is not None)


def mentioned(text: str, display: str) -> Iterator[str]:
    """Yield the variables that a file takes from outside: mentioned in a value, or a key without a value.

    Raises ComposeError with the line.
    """
    for key, value, quote, _ in _statements(text, display):
        if value is None:
            yield key
        elif quote != "'":
            yield from interpolate.names(_unescaped(value) if quote else value)


def quote(value: str) -> str:
    """Return the text after `KEY=` that Compose reads as exactly this value.

    Raises ValueError for a value with a NUL character, which no variable can hold.
    """
    if "\0" in value:
        raise ValueError("a value with a NUL character cannot be a variable")
    if _SAFE.fullmatch(value):
        return value
    if "'" not in value and "\\" not in value and "\r" not in value:
        return f"'{value}'"
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("\r", "\\r"), ("\n", "\\n")):
        value = value.replace(character, escaped)
    return f'"{value}"'


def _first(*values: str | None) -> str | None:
    return next((value for value in values if value is not None), None)


def _statements(text: str, display: str) -> Iterator[tuple[str, str | None, str, int]]:
    """Yield key, value as written, quote and line; the value is None for a key without a value."""
    text = text.removeprefix("\ufeff")
    if len(text) > LARGEST:
        raise ComposeError(Problem(display, 1, f"is larger than {LARGEST // 1024} KiB"))
    position, counted, line = 0, 0, 1
    while (position := _next_statement(text, position)) < len(text):
        line += text.count("\n", counted, position)
        counted = position
        export = _EXPORT.match(text, position)
        position = export.end() if export else position
        match = _KEY.match(text, position)
        divider = text[match.end() : match.end() + 1] if match else ""
        if match is None or divider not in ("=", ":", "\n", ""):
            wrong = text[position:].split("\n", 1)[0][:40]
            raise ComposeError(Problem(display, line, f"`{wrong}` does not start with a variable name"))
        key, position = match.group().rstrip(_SPACE), match.end() + len(divider)
        if any(space in key for space in _SPACE):
            raise ComposeError(Problem(display, line, f"`{key}`: a variable name has no spaces"))
        if divider not in ("=", ":"):
            yield key, None, "", line
            continue
        value, opening, position = _value(text, position, display, line)
        yield key, value, opening, line


def _next_statement(text: str, position: int) -> int:
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        else:
            break
    return position


def _value(text: str, position: int, display: str, line: int) -> tuple[str, str, int]:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    opening = text[position : position + 1]
    if opening not in ("'", '"') or not opening:
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        return text[position:end].split(" #", 1)[0].rstrip(), "", end
    characters: list[str] = []
    index = position + 1
    while index < len(text) and text[index] != opening:
        pair = text[index : index + 2]
        if pair == "\\" + opening:
            characters.append(opening)
            index += 2
        elif pair[0] == "\\" and len(pair) == 2:
            characters.append(pair)
            index += 2
        else:
            characters.append(pair[0])
            index += 1
    if index >= len(text):
        raise ComposeError(Problem(display, line, "the quoted value has no closing quote"))
    return "".join(characters), opening, index + 1


def _resolved(value: str, opening: str, lookup: Lookup) -> str:
    if opening == "'":
        return value
    return interpolate.substitute(_unescaped(value) if opening else value, lookup)


def _unescaped(value: str) -> str:
    return _ESCAPE.sub(_escaped, value)


def _escaped(match: re.Match[str]) -> str:
    letter, dollar, octal = match.groups()
    if dollar:
        return "$$"
    if letter:
        return _CONTROLS.get(letter, match.group() if letter == "c" else letter)
    return chr(int(octal, 8)) if octal and len(octal) == 3 else match.group()
