"""Parse config/dev.yml into values with their lines. Knows no key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from kamal_dev.errors import ConfigError, Problem
from kamal_dev.pattern import pattern
from kamal_dev.syntax.composer import CORE, YamlLimits, compose
from kamal_dev.syntax.node import Node

# More than any configuration needs.
LIMITS = YamlLimits(characters=128 * 1024, nodes=5_000, expanded=10_000, documents=1)

# The core schema of YAML 1.2, section 10.3.2: `yes`, `off` and `22:22` are text.
_SCALARS = (
    ("empty", pattern(r"(~|null|Null|NULL|)")),
    ("boolean", pattern(r"(true|True|TRUE|false|False|FALSE)")),
    ("integer", pattern(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)")),
    ("number", pattern(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")),
)
_TAGS = {"str": "text", "int": "integer", "float": "number", "bool": "boolean", "null": "empty", "map": "", "seq": ""}
_ERB = pattern(r"[^#\n]*<%")


@dataclass(eq=False)
class ConfigValue:
    """Hold one YAML value as written, with its place.

    `kind` is text, integer, number, boolean, empty, mapping, list or tagged; `path` is the file as shown; `text` is
    the scalar's own text.
    """

    kind: str
    text: str = ""
    line: int = 0
    column: int = 0
    is_merge: bool = False
    path: str = ""
    items: list[ConfigValue] = field(default_factory=list)

    @property
    def pairs(self) -> Iterator[tuple[ConfigValue, ConfigValue]]:
        """The keys and values of a mapping, in order, merge keys as written."""
        return zip(self.items[::2], self.items[1::2], strict=False)


def over(base: ConfigValue | None, upper: ConfigValue | None) -> ConfigValue | None:
    """Return one document merged over another: mappings are merged, everything else is replaced."""
    if base is None or upper is None or base.kind != "mapping" or upper.kind != "mapping":
        return base if upper is None or upper.kind == "empty" else upper
    known = {key.text: (key, value) for key, value in upper.pairs if not key.is_merge}
    items: list[ConfigValue] = []
    for key, value in base.pairs:
        own = None if key.is_merge else known.pop(key.text, None)
        items += (own[0], over(value, own[1]) or own[1]) if own else (key, value)
    rest = [item for key, value in upper.pairs if key.is_merge or key.text in known for item in (key, value)]
    return replace(base, items=[*items, *rest])


def parse(text: str, path: str) -> tuple[ConfigValue | None, tuple[Problem, ...]]:
    """Read one YAML 1.2 document: its value (None if empty), and problems with its keys.

    Raises ConfigError if it cannot be read.
    """
    text = text.removeprefix("\ufeff")
    refuse_erb(text, path)
    document = compose(text, path, ConfigError, LIMITS)
    return (_value(document.roots[0], path, {}) if document.roots else None), document.problems


def refuse_erb(text: str, path: str) -> None:
    """Raise ConfigError for each line on which Kamal would run Ruby."""
    message = "has ERB (`<% … %>`), which is not supported; write the value itself or a variable name"
    lines = (number for number, line in enumerate(text.split("\n"), 1) if _ERB.match(line))
    problems = [Problem(path, number, message) for number in lines]
    if problems:
        raise ConfigError(problems)


def _value(node: Node, path: str, known: dict[int, ConfigValue]) -> ConfigValue:
    """Return a node with everything below it, each once however many aliases refer to it."""
    node = node.followed
    if id(node) not in known:
        below = [item for pair in node.entries for item in pair] or node.items
        items = [_value(item, path, known) for item in below]
        known[id(node)] = ConfigValue(_kind(node), node.text, node.line, node.column, node.is_merge, path, items)
    return known[id(node)]


def _kind(node: Node) -> str:
    tag = _tag(node)
    if node.kind != "scalar":
        return "tagged" if tag else "mapping" if node.kind == "mapping" else "list"
    if tag is not None:
        return tag or "tagged"
    if node.style != "plain" or node.tag:
        return "text"
    return next((kind for kind, pattern in _SCALARS if pattern.fullmatch(node.text)), "text")


def _tag(node: Node) -> str | None:
    """Return the kind that an explicit tag requests, None without one, `tagged` for a foreign one."""
    if node.tag in ("", "!"):
        return None
    # Other tags of YAML have already been reported for the document.
    is_core = node.tag.startswith(CORE)
    return _TAGS.get(node.tag.removeprefix(CORE), "text") if is_core else "tagged"
