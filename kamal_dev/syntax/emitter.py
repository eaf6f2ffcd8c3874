"""Write values as YAML text: block style, the same text for the same value. Does no I/O.

A string is plain if every reader of any YAML version reads it as a string, else double-quoted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

_PLAIN = pattern(r"\.\.?|(?:\.?[A-Za-z_]|\.{0,2}/)(?:[A-Za-z0-9_./@:-]*[A-Za-z0-9_./@-])?", re.ASCII)
_STRING, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
_WORDS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null", ".inf", ".nan"))


@dataclass(frozen=True)
class Tagged:
    """Put one of Compose's tags on a value: `!reset`, `!override`."""

    tag: str
    value: Any = None


def dump(value: Mapping[str, Any]) -> str:
    """Return a mapping as text with a final newline."""
    return _text(value)


def scalar(value: object) -> str:
    """Return text, a number or a boolean as it is written on one line."""
    return _text([value])[2:-1]


def is_plain(text: str) -> bool:
    """Return whether a string is read as itself without quotes."""
    return _PLAIN.fullmatch(text) is not None and text.lower() not in _WORDS


def _text(value: Any) -> str:
    import yaml

    return str(yaml.dump(value, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=float("inf")))


@lru_cache(maxsize=1)
def _dumper() -> type:
    # Imported only for writing: importing PyYAML takes as long as writing.
    import yaml

    class Dumper(yaml.SafeDumper):
        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

        def choose_scalar_style(self) -> str:
            # PyYAML quotes everything that has a tag, and `"null"` is text.
            event: Any = self.event
            is_tagged_null = event.tag not in (None, _STRING, _NULL) and event.value == "null"
            return "" if is_tagged_null else super().choose_scalar_style()

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Dumper, value: str) -> yaml.Node:
        return dumper.represent_scalar(_STRING, value, style=None if is_plain(value) else '"')

    def tagged(dumper: Dumper, value: Tagged) -> yaml.Node:
        node = dumper.represent_data(value.value)
        node.tag = value.tag
        return node

    Dumper.add_representer(str, text)
    Dumper.add_representer(Tagged, tagged)
    return Dumper
