"""Nodes as values: aliases and merge keys followed, variables resolved, places kept. Merges no files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any

from kamal_dev.compose import interpolate, scalar, secret_text
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Location
from kamal_dev.syntax.node import Node
from kamal_dev.values import dataclass

LONGEST = 1 << 22


@dataclass(frozen=True)
class Value:
    """Hold one value of a compose file.

    `data` is a dict of str to Value, a list of Values, or a scalar. `base` is the absolute folder that relative paths
    in it start from. `raw` is a scalar's text for a file in the project's own scope: with its variables as written,
    unless they belong to an included project. `resets` are the keys that `!reset` or `!override` remove from earlier
    files.
    """

    data: Any
    where: Location
    base: Path
    raw: str = ""
    resets: frozenset[str] = frozenset()

    @property
    def items(self) -> dict[str, Value]:
        """The entries of a mapping; empty for anything else."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def list(self) -> list[Value]:
        """The items of a sequence; empty for anything else."""
        return self.data if isinstance(self.data, list) else []

    @property
    def text(self) -> str:
        """The scalar as the string that Compose makes of it; empty for a collection."""
        return "" if isinstance(self.data, (dict, list)) else secret_text.plain(scalar.spell(self.data))

    @property
    def hidden(self) -> str:
        """The text with `[redacted]` instead of secrets."""
        return "" if isinstance(self.data, (dict, list)) else secret_text.hidden(scalar.spell(self.data))

    @property
    def is_on(self) -> bool:
        """Whether it is `true`, or text that Compose casts to it."""
        return self.data is True or self.text.lower() in ("true", "yes", "y", "on")

    def at(self, *keys: str) -> Value | None:
        """Return the value under nested keys; None if one is missing."""
        value: Value | None = self
        for key in keys:
            value = value.items.get(key) if value is not None else None
        return value

    def string(self, *keys: str) -> str:
        """Return the text under nested keys; empty if there is none."""
        value = self.at(*keys)
        return value.text if value is not None else ""

    def having(self, entries: Mapping[str, Value]) -> Value:
        """Return this mapping with other entries."""
        return Value(dict(entries), self.where, self.base, resets=self.resets)

    def plain(self) -> Any:
        """Return it as dicts, lists and scalars."""
        if isinstance(self.data, dict):
            return {key: value.plain() for key, value in self.data.items()}
        if isinstance(self.data, list):
            return [value.plain() for value in self.data]
        return self.data


@dataclass(frozen=True)
class Scope:
    """Hold how to read the files of one project directory: base of paths, values of variables.

    `is_raw` leaves variables as written.
    """

    base: Path
    variables: Mapping[str, str] = field(repr=False)
    is_included: bool = False
    is_raw: bool = False


def convert(root: Node, display: str, scope: Scope) -> Value:
    """Return the value of a document's root. Raises ComposeError with every problem in it."""
    reader = _Converter(display, scope)
    value = reader.read(root)
    if reader.problems:
        raise ComposeError(
            reader.problems, hint="set the variables in the environment or in `.env`" if reader.is_missing else ""
        )
    return value


class _Converter:
    def __init__(self, display: str, scope: Scope) -> None:
        self.display = display
        self.scope = scope
        self.problems: list[Problem] = []
        self.is_missing = False
        self._length = 0
        self._known: dict[int, Value] = {}

    def read(self, node: Node) -> Value:
        node = node.followed
        if id(node) not in self._known:
            self._known[id(node)] = self._read(node)
        return self._known[id(node)]

    def _read(self, node: Node) -> Value:
        where = Location(self.display, node.line, node.column)
        if node.kind == "mapping":
            entries, resets = self._entries(node)
            return Value(entries, where, self.scope.base, resets=resets)
        if node.kind == "sequence":
            kept = [item for item in node.items if item.followed.tag != "!reset"]
            return Value([self.read(item) for item in kept], where, self.scope.base)
        data = self._scalar(node)
        # Another file that repeats this text is interpolated with the variables of the whole project.
        raw = secret_text.written(scalar.spell(data)) if self.scope.is_included else node.text
        return Value(data, where, self.scope.base, raw=raw)

    def _entries(self, node: Node) -> tuple[dict[str, Value], frozenset[str]]:
        entries: dict[str, Value] = {}
        resets: set[str] = set()
        merged: list[Value] = []
        for key, value in node.entries:
            tag = value.followed.tag
            if key.text == "<<" and key.style == "plain":
                merged.extend(self._merged(value))
                continue
            if tag in ("!reset", "!override"):
                resets.add(key.text)
            if tag != "!reset":
                entries[key.text] = self.read(value)
        for source in merged:
            # Like in Compose, a reset next to the merge key does not remove what the merge brings.
            entries = {**source.items, **entries}
            resets |= source.resets
        return entries, frozenset(resets)

    def _merged(self, node: Node) -> list[Value]:
        """Return what `<<` merges; of several, the earlier ones win."""
        nodes = node.followed.items if node.followed.kind == "sequence" else [node]
        values = [self.read(item) for item in nodes]
        for item, value in zip(nodes, values, strict=True):
            if not isinstance(value.data, dict):
                self.problems.append(Problem(self.display, item.line, "`<<` merges a mapping or a list of mappings"))
        return values

    def _counted(self, text: str) -> str:
        """Return the text as long as the total is not too long; report it once otherwise."""
        is_short = self._length <= LONGEST
        self._length += len(text)
        if self._length <= LONGEST:
            return text
        if is_short:
            raise ValueError(f"here the texts with variables are longer than {LONGEST} characters")
        return ""

    def _scalar(self, node: Node) -> Any:
        is_text = node.style != "plain" or node.tag.endswith(":str")
        if "$" not in node.text or self.scope.is_raw:
            return node.text if is_text else scalar.resolve(node.text)
        try:
            return self._counted(interpolate.substitute(node.text, self.scope.variables.get))
        except ValueError as error:
            self.is_missing = self.is_missing or isinstance(error, interpolate.Missing)
            self.problems.append(Problem(self.display, node.line, secret_text.hidden(str(error)), column=node.column))
            return ""
