"""Secrets inside the texts that are read: they decide as their values do, and are told from everything else.

What a compose file resolves `${NAME}` to is marked with the name, so that a value decides (which volume, which
file) and a copy of the text can say `${NAME}` again. The marks are noncharacters of Unicode, which no text has.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from kamal_dev.compose import interpolate
from kamal_dev.model import REDACTED, Secret

_START, _MIDDLE, _END = "\ufdd0", "\ufdd1", "\ufdd2"
_MARKED = re.compile(f"{_START}([^{_MIDDLE}]*){_MIDDLE}([^{_END}]*){_END}")


def marked(name: str, value: str) -> str:
    """Return the value of a secret as text that tells so; `value` is `[redacted]` where it is not known yet."""
    return f"{_START}{name}{_MIDDLE}{value}{_END}"


def all_marked(secrets: Mapping[str, str]) -> dict[str, str]:
    """Return the values of several secrets so."""
    return {name: marked(name, value) for name, value in secrets.items()}


def is_in(text: str) -> bool:
    """Whether a text is made of a secret."""
    return _START in text


def names(text: str) -> tuple[str, ...]:
    """Return the secrets that a text is made of."""
    return tuple(match[1] for match in _MARKED.finditer(text))


def plain(text: str) -> str:
    """Return the text as it is meant, without marks."""
    return _MARKED.sub(r"\2", text) if _START in text else text


def pair(text: str) -> tuple[str, str, str]:
    """Split `KEY=value` at its first `=`: the key is as it is meant, the value is still told to be a secret."""
    key, equals, value = text.partition("=")
    if key.count(_START) == key.count(_END):
        return plain(key), equals, value
    # The secret has the `=` in it: all that follows is part of it.
    key, equals, value = plain(text).partition("=")
    return key, equals, marked(names(text)[0], value)


def hidden(text: str) -> str:
    """Return the text with `[redacted]` for each secret."""
    return _MARKED.sub(REDACTED, text)


def written(text: str) -> str:
    """Return a resolved text for a compose file: each secret as `${NAME}` again, everything else as it is."""
    parts = _MARKED.split(text)
    # The pattern has two groups: text, name, value, text …
    return "".join(
        interpolate.escape(part) if index % 3 == 0 else f"${{{part}}}" if index % 3 == 1 else ""
        for index, part in enumerate(parts)
    )


def filled(text: str, secrets: Mapping[str, str | Secret]) -> str | Secret:
    """Return the text with the values of `secrets`; it is a secret itself where it has one."""
    if _START not in text:
        return text
    known = {name: value.reveal() if isinstance(value, Secret) else value for name, value in secrets.items()}
    return Secret(_MARKED.sub(lambda match: known.get(match[1], match[2]), text))
