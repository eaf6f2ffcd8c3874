"""Plain values as YAML text for Compose: block style, literal `$`, every doubtful string quoted."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_PLAIN = re.compile(r"\.\.?|(?:\.?[A-Za-z_]|\.{0,2}/)(?:[A-Za-z0-9_./@:-]*[A-Za-z0-9_./@-])?", re.ASCII)
# What YAML 1.1 or 1.2 reads as something else than a string.
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan"))
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def dump(value: Mapping[str, Any]) -> str:
    """Return the text of a mapping. `$` is doubled in values, so that Compose reads them as they are."""
    return "\n".join(_mapping(value)) + "\n"


def _mapping(value: Mapping[str, Any]) -> list[str]:
    return [line for key, item in value.items() for line in _under(f"{_word(key)}:", item)]


def _sequence(value: list[Any]) -> list[str]:
    lines = []
    for item in value:
        first, *rest = _block(item) if isinstance(item, (dict, list)) and item else [_scalar(item)]
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return lines


def _under(head: str, item: Any) -> list[str]:
    if isinstance(item, (dict, list)) and item:
        return [head, *(f"  {line}" for line in _block(item))]
    return [f"{head} {_scalar(item)}"]


def _block(item: Any) -> list[str]:
    return _mapping(item) if isinstance(item, dict) else _sequence(item)


def _scalar(item: Any) -> str:
    if isinstance(item, str):
        return _word(item.replace("$", "$$"))
    return json.dumps(item)


def _word(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
