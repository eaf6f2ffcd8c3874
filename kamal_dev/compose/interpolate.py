"""Resolve `${VAR}` and its variants like Compose. For reading only: the text that is sent keeps them.

Source: Compose Specification, 12-interpolation.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

Lookup = Callable[[str], "str | None"]

DEEPEST = 50
LONGEST = 1 << 20

_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = pattern(r":?[-+?]")
# Names that look like secrets that somebody has to set.
_SECRET = pattern(
    r"(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|PASS|PW|SECRET|TOKEN|KEY|CREDENTIALS?|PAT)(?:_|$)", re.IGNORECASE
)
# `- NAME` and `NAME:` in an environment take the value from the environment of Compose.
_PASSED_THROUGH = pattern(r"""\s*(?:-\s+["']?([A-Z][A-Z0-9_]*)["']?|([A-Z][A-Z0-9_]*):)\s*""")


class Missing(ValueError):
    """Report that a required variable has no value."""


@dataclass(frozen=True)
class Reference:
    """Hold one `$NAME`, `${NAME}` or `${NAME:-word}`; `operator` is empty for the first two."""

    name: str
    operator: str = ""
    word: str = ""


def substitute(text: str, lookup: Lookup) -> str:
    """Return the text with every reference resolved and `$$` as `$`; unset variables are empty.

    Raises Missing for `${NAME:?}` without a value, ValueError for an invalid reference or a text that grows too long.
    """
    if "$" not in text:
        return text
    parts, length = [], 0
    for part in _parts(text):
        parts.append(part if isinstance(part, str) else _value(part, lookup))
        length += len(parts[-1])
        if length > LONGEST:
            raise ValueError(f"grows to more than {LONGEST} characters when its variables are resolved")
    return "".join(parts)


def names(text: str) -> Iterator[str]:
    """Yield the variables that a text mentions, including those in defaults.

    For an invalid text, those before the error.
    """
    try:
        for part in _parts(text):
            if isinstance(part, Reference):
                yield part.name
                yield from names(part.word)
    except ValueError:
        return


def bare(text: str) -> Iterator[str]:
    """Yield the variables that a text mentions without a default."""
    try:
        yield from (part.name for part in _parts(text) if isinstance(part, Reference) and not part.operator)
    except ValueError:
        return


def needed(text: str) -> Iterator[str]:
    """Yield the variables that a text mentions without a default, including required ones (`?`)."""
    try:
        for part in _parts(text):
            if isinstance(part, Reference) and part.operator in ("", "?", ":?"):
                yield part.name
    except ValueError:
        return


def escape(text: str) -> str:
    """Return the text that Compose reads as exactly this one."""
    return text.replace("$", "$$")


def _value(reference: Reference, lookup: Lookup) -> str:
    value = lookup(reference.name)
    operator = reference.operator
    if not operator:
        return value or ""
    # With a colon, an empty value counts as unset.
    is_set = bool(value) if operator.startswith(":") else value is not None
    if operator.endswith("+"):
        return substitute(reference.word, lookup) if is_set else value or ""
    if is_set:
        return value or ""
    word = substitute(reference.word, lookup)
    if operator.endswith("?"):
        reason = f": {word}" if word else ""
        raise Missing(f"the required variable `{reference.name}` has no value{reason}")
    return word


def _parts(text: str) -> Iterator[str | Reference]:
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        yield text[position:dollar]
        after = text[dollar + 1 : dollar + 2]
        name = _NAME.match(text, dollar + 1)
        if after == "$":
            yield "$"
            position = dollar + 2
        elif name:
            yield Reference(name.group())
            position = name.end()
        elif after == "{":
            reference, position = _braced(text, dollar + 2)
            yield reference
        else:
            yield "$"
            position = dollar + 1
    yield text[position:]


def _braced(text: str, start: int) -> tuple[Reference, int]:
    name = _NAME.match(text, start)
    end = _closing(text, start)
    if name is None or end < 0:
        raise ValueError(f"`${{{text[start : start + 20]}` is not a variable; write `$$` for a literal `$`")
    operator = _OPERATOR.match(text, name.end())
    if operator is None:
        if name.end() != end:
            raise ValueError(f"`${{{text[start:end]}}}` is not a variable; write `$$` for a literal `$`")
        return Reference(name.group()), end + 1
    return Reference(name.group(), operator.group(), text[operator.end() : end]), end + 1


def _closing(text: str, start: int) -> int:
    depth = 1
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if not depth:
            return index
        if depth > DEEPEST:
            raise ValueError(f"variables are nested more than {DEEPEST} deep")
    return -1


def secrets(text: str) -> tuple[str, ...]:
    """Return the names in a compose file without a value that look like secrets."""
    return tuple(dict.fromkeys(name for name in _mentioned(text) if _SECRET.search(name)))


def _mentioned(text: str) -> Iterator[str]:
    for line in text.splitlines():
        code = re.sub(r"(?:^|\s)#.*", "", line)
        yield from needed(code)
        if match := _PASSED_THROUGH.fullmatch(code):
            yield match[1] or match[2]
