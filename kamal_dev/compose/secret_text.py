"""Secrets inside resolved texts: they are used like other values, but can be told apart.

What a compose file resolves `${NAME}` to is marked with the name, so that its value counts (which volume, which
file), and a copy of the text can say `${NAME}` again. The marks are noncharacters of Unicode, which no text contains.
"""

from __future__ import annotations

from collections.abc import Mapping

from kamal_dev.compose import interpolate
from kamal_dev.model import REDACTED, Secret
from kamal_dev.pattern import pattern

_START, _MIDDLE, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_MARKED = pattern(f"{_START}([^{_MIDDLE}]*){_MIDDLE}([^{_END}]*){_END}")


def marked(name: str, value: str) -> str:
    """Return the value of a secret as marked text; `value` is `[redacted]` if it is not known yet."""
    return f"{_START}{name}{_MIDDLE}{value}{_END}"


def all_marked(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the marked values of several secrets."""
    return {name: marked(name, value) for name, value in secrets.items()}


def is_in(text: str) -> bool:
    """Return whether a text contains a secret."""
    return _START in text


def names(text: str) -> tuple[str, ...]:
    """Return the secrets in a text."""
    return tuple(match[1] for match in _MARKED.finditer(text))


def plain(text: str) -> str:
    """Return the text without marks."""
    return _MARKED.sub(r"\2", text) if _START in text else text


def pair(text: str) -> tuple[str, str, str]:
    """Split `KEY=value` at its first `=`: the key without marks, the value still marked."""
    key, equals, value = text.partition("=")
    if key.count(_START) == key.count(_END):
        return plain(key), equals, value
    # The `=` is part of the secret, and so is everything after it.
    key, equals, value = plain(text).partition("=")
    return key, equals, marked(names(text)[0], value)


def hidden(text: str) -> str:
    """Return the text with `[redacted]` for each secret."""
    return _MARKED.sub(REDACTED, text)


def written(text: str) -> str:
    """Return a resolved text for a compose file: secrets become `${NAME}` again, everything else is unchanged."""
    parts = _MARKED.split(text)
    # The pattern has two groups: text, name, value, text …
    return "".join(
        interpolate.escape(part) if index % 3 == 0 else f"${{{part}}}" if index % 3 == 1 else ""
        for index, part in enumerate(parts)
    )


def filled(text: str, secrets: Mapping[str, str | Secret]) -> str | Secret:
    """Return the text with the values of `secrets`; the result is a secret if it contains one."""
    if _START not in text:
        return text
    known = {name: value.reveal() if isinstance(value, Secret) else value for name, value in secrets.items()}
    return Secret(_MARKED.sub(lambda match: known.get(match[1], match[2]), text))
