"""Values as YAML text for an overlay: block style, always the same text for the same value. Reads nothing.

Strings are double-quoted, so that no reader of any YAML version takes one for
something else; `$` is the caller's to escape, because some of them are variables.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kamal_dev.compose.value import Value

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class Tagged:
    """Put one of Compose's tags on a value: `!reset`, `!override`."""

    tag: str
    value: Any = None


def dump(value: Mapping[str, Any]) -> str:
    """Return a mapping as text with a final newline."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        return [line for key, item in value.items() for line in _under(f"{_key(key)}:", item)]
    lines = []
    for item in value:
        first, *rest = _lines(_plain(item)) if _is_block(_plain(item)) else [_scalar(_plain(item))]
        lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return lines


def _under(head: str, item: Any) -> list[str]:
    item = _plain(item)
    if isinstance(item, Tagged):
        return _under(f"{head} {item.tag}", item.value)
    if _is_block(item):
        return [head, *(f"  {line}" for line in _lines(item))]
    return [f"{head} {_scalar(item)}"]


def _is_block(item: Any) -> bool:
    return isinstance(item, (Mapping, list)) and bool(item)


def _plain(item: Any) -> Any:
    """Return a Value's own content, its variables as the user wrote them."""
    if not isinstance(item, Value):
        return item
    return item.raw if isinstance(item.data, str) else item.data


def _key(text: str) -> str:
    return text if _PLAIN_KEY.fullmatch(text) and text.lower() not in _WORDS else _scalar(text)


def _scalar(item: Any) -> str:
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(item, ensure_ascii=False))
