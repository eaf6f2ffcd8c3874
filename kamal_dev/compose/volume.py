"""One item of a service's `volumes`, short or long: its parts. Judges no path.

Source: Compose Specification, services `volumes`.
"""

from __future__ import annotations

import posixpath
import re

from kamal_dev.compose.value import Value
from kamal_dev.values import dataclass

_VARIABLE = re.compile(r"\$\{[^{}]*\}")


@dataclass(frozen=True)
class Parts:
    """Hold what a volume's text says; `options` is what follows the target, as written."""

    source: str
    target: str
    options: str = ""

    @property
    def is_path(self) -> bool:
        """Whether the source is a path, not the name of a volume."""
        return self.source.startswith((".", "/", "~", "\\\\")) or _has_drive(self.source)


def _has_drive(text: str) -> bool:
    """Whether a text starts as a path on a drive of Windows; so does a volume of one letter, for Compose too."""
    return text[1:2] == ":" and text[0].isalpha()


def split(text: str) -> Parts:
    """Split `source:target:options`, `source:target` or `target`.

    A colon inside `${…}` divides nothing, nor does the one of a Windows drive.
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
    """Return the path in the container, normalised; empty where the item names none."""
    path = item.string("target") if item.items else split(item.text).target
    return posixpath.normpath(path) if path else ""


def bind_source(item: Value) -> str:
    """Return the source as written, variables resolved, of a bind; empty for any other volume."""
    if item.items:
        return item.string("source") if item.string("type") == "bind" else ""
    parts = split(item.text)
    return parts.source if parts.is_path else ""


def name(item: Value) -> str:
    """Return the top-level volume that is mounted, variables resolved; empty for any other kind."""
    if item.items:
        return item.string("source") if item.string("type") == "volume" else ""
    parts = split(item.text)
    return "" if parts.is_path else parts.source


def is_read_only(item: Value) -> bool:
    """Whether the container may not write to it."""
    if item.items:
        read_only = item.at("read_only")
        return read_only is not None and read_only.is_on
    return "ro" in split(item.text).options.split(",")
