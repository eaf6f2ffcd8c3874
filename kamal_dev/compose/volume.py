"""One item of a service's `volumes`, short or long: its parts. Judges no path.

Source: Compose Specification, services `volumes`.
"""

from __future__ import annotations

import posixpath
import re

from kamal_dev.compose.value import Value
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

_VARIABLE = pattern(r"\$\{[^{}]*\}")


@dataclass(frozen=True)
class Parts:
    """Hold the parts of a volume's text; `options` is what follows the target, as written."""

    source: str
    target: str
    options: str = ""

    @property
    def is_path(self) -> bool:
        """Whether the source is a path, not the name of a volume."""
        return self.source.startswith((".", "/", "~", "\\\\")) or _has_drive(self.source)


def _has_drive(text: str) -> bool:
    """Return whether a text starts like a path on a Windows drive; Compose, too, reads a one-letter volume as one."""
    return text[1:2] == ":" and text[0].isalpha()


def split(text: str) -> Parts:
    """Split `source:target:options`, `source:target` or `target`.

    A colon inside `${…}` or after a Windows drive does not separate.
    """
    hidden, replaced = text, 1
    while replaced:
        hidden, replaced = _VARIABLE.subn(lambda match: "\0" * len(match.group()), hidden)
    cuts = [match.start() for match in re.finditer(":", hidden)]
    if _has_drive(hidden):
        cuts = cuts[1:]
    if not cuts:
        return Parts("", text)
    if len(cuts) == 1:
        return Parts(text[: cuts[0]], text[cuts[0] + 1 :])
    return Parts(text[: cuts[0]], text[cuts[0] + 1 : cuts[1]], text[cuts[1] + 1 :])


def target(item: Value) -> str:
    """Return the path in the container, normalised; empty if there is none."""
    path = item.string("target") if item.items else split(item.text).target
    return posixpath.normpath(path) if path else ""


def bind_source(item: Value) -> str:
    """Return the source of a bind as written, with variables resolved; empty for any other volume."""
    if item.items:
        return item.string("source") if item.string("type") == "bind" else ""
    parts = split(item.text)
    return parts.source if parts.is_path else ""


def name(item: Value) -> str:
    """Return the mounted top-level volume, with variables resolved; empty for any other kind."""
    if item.items:
        return item.string("source") if item.string("type") == "volume" else ""
    parts = split(item.text)
    return "" if parts.is_path else parts.source


def is_read_only(item: Value) -> bool:
    """Return whether the container may not write to it."""
    if item.items:
        read_only = item.at("read_only")
        return read_only is not None and read_only.is_on
    return "ro" in split(item.text).options.split(",")
