"""The text of one compose file as trees of nodes with their exact places. Resolves and converts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from kamal_dev.config import yaml_events
from kamal_dev.errors import ComposeError, Problem

MAX_CHARACTERS = 1 << 20
MAX_NODES = 20_000
MAX_EXPANDED = 100_000
MAX_DEPTH = 100

_CORE = "tag:yaml.org,2002:"
_CORE_TAGS = {"", *(_CORE + name for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp"))}


@dataclass(eq=False)
class Node:
    """Hold one node; `start` and `end` are character offsets that include anchor, tag and quotes.

    Nothing changes a node once its document is parsed.

    `end` is where the content ends: trailing comments and blank lines are not part
    of a node. `kind` is `mapping`, `sequence`, `scalar` or `alias`; `style` is
    `plain`, `block`, `flow` or the character that opens a scalar. `size` counts the
    nodes below with every alias followed. `text` is a scalar's value or an alias's name.
    """

    kind: str
    start: int
    end: int
    line: int
    column: int
    style: str = "plain"
    tag: str = ""
    anchor: str = ""
    text: str = ""
    entries: list[tuple[Node, Node]] = field(default_factory=list, repr=False)
    items: list[Node] = field(default_factory=list, repr=False)
    target: Node | None = field(default=None, repr=False)
    size: int = 1
    is_open: bool = False

    @property
    def followed(self) -> Node:
        """The node itself, or what an alias stands for."""
        return self.target or self

    def entry(self, key: str) -> tuple[Node, Node] | None:
        """Return the key and value nodes that physically stand in this mapping."""
        return next((pair for pair in self.entries if pair[0].text == key), None)

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, in the order of the text; aliases are not followed."""
        yield self
        for key, value in self.entries:
            yield key
            yield from value.walk()
        for item in self.items:
            yield from item.walk()


def decode(data: bytes, display: str) -> str:
    """Return the text of a file with every character kept, the byte order mark too.

    Raises ComposeError with the line of the first byte that is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise ComposeError(Problem(display, line, message), hint="save the file as UTF-8") from error


@lru_cache(maxsize=64)
def parse(text: str, display: str) -> tuple[Node, ...]:
    """Return the root node of every document that is not empty.

    Raises ComposeError for text that is no YAML, repeats a key, nests too deep or
    grows too large when its aliases are expanded: all of that is seen here, before
    anything follows them. `display` names the file in messages.
    """
    if len(text) > MAX_CHARACTERS:
        raise ComposeError(Problem(display, 0, f"has {len(text)} characters; at most {MAX_CHARACTERS} are read"))
    # Imported where a file is parsed: ruamel takes as long as the rest of a start.
    from kamal_dev.compose.scanner import Tabs

    composer = _Composer(text, display)
    for event in yaml_events.events(text, display, ComposeError, Tabs):
        composer.take(event)
    if composer.problems:
        raise ComposeError(composer.problems)
    return tuple(root for root in composer.roots if root.kind != "scalar" or root.text)


class _Composer:
    """Build nodes from events without recursion, counting as it goes."""

    def __init__(self, text: str, display: str) -> None:
        self.text = text
        self.display = display
        self.roots: list[Node] = []
        self.problems: list[Problem] = []
        self._open: list[tuple[Node, list[Node]]] = []
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def take(self, event: Any) -> None:
        name = type(event).__name__
        if name == "DocumentStartEvent":
            self._anchors = {}
        elif name in ("MappingStartEvent", "SequenceStartEvent"):
            self._start(event, "mapping" if name.startswith("M") else "sequence")
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            self._finish(event)
        elif name == "AliasEvent":
            self._add(self._alias(event))
        elif name == "ScalarEvent":
            self._add(self._scalar(event))

    def _node(self, event: Any, kind: str, **fields: Any) -> Node:
        start, end = event.start_mark, event.end_mark
        node = Node(kind, start.index, end.index, start.line + 1, start.column + 1, **fields)
        self._count += 1
        if self._count > MAX_NODES:
            self._refuse(node, f"has more than {MAX_NODES} nodes")
        if node.tag.startswith(_CORE) and node.tag not in _CORE_TAGS:
            self._complain(node, f"the tag `!!{node.tag[len(_CORE) :]}` is not allowed")
        if node.anchor:
            self._anchors[node.anchor] = node
        return node

    def _start(self, event: Any, kind: str) -> None:
        style = "flow" if event.flow_style else "block"
        node = self._node(event, kind, style=style, tag=_tag(event), anchor=event.anchor or "", is_open=True)
        self._open.append((node, []))
        if len(self._open) > MAX_DEPTH:
            self._refuse(node, f"is nested more than {MAX_DEPTH} levels deep")

    def _finish(self, event: Any) -> None:
        node, children = self._open.pop()
        node.is_open = False
        if node.kind == "sequence":
            node.items = children
        else:
            node.entries = list(zip(children[::2], children[1::2], strict=True))
            self._check_keys(node)
        last = children[-1].end if children else node.end
        node.end = event.end_mark.index if node.style == "flow" else last
        node.size = 1 + sum(child.size for child in children)
        self._add(node)

    def _alias(self, event: Any) -> Node:
        node = self._node(event, "alias", text=event.anchor)
        target = self._anchors.get(event.anchor)
        if target is None:
            self._refuse(node, f"the alias `*{event.anchor}` has no anchor before it")
        elif target.is_open:
            self._refuse(node, f"the alias `*{event.anchor}` is inside of what it refers to")
        else:
            node.target, node.size = target, target.size
        return node

    def _scalar(self, event: Any) -> Node:
        style = event.style or "plain"
        node = self._node(event, "scalar", style=style, tag=_tag(event), anchor=event.anchor or "", text=event.value)
        if style in "|>":
            node.end = node.start + len(self.text[node.start : node.end].rstrip(" \r\n"))
        if node.start == node.end:
            self._place_nothing(node)
        return node

    def _place_nothing(self, node: Node) -> None:
        """Put an empty value right after its key's colon: the parser puts it where the next node starts."""
        parent, before = self._open[-1] if self._open else (node, [])
        if parent.kind != "mapping" or len(before) % 2 == 0:
            return
        key = before[-1]
        after = key.end + len(self.text[key.end :]) - len(self.text[key.end :].lstrip())
        node.start = node.end = after + 1 if self.text[after : after + 1] == ":" else key.end
        node.line, node.column = key.line, key.column

    def _add(self, node: Node) -> None:
        if self._open:
            self._open[-1][1].append(node)
        else:
            self.roots.append(node)
        if node.size > MAX_EXPANDED:
            self._refuse(node, f"grows to more than {MAX_EXPANDED} nodes when its aliases are expanded")

    def _check_keys(self, node: Node) -> None:
        seen: dict[str, Node] = {}
        for key, _ in node.entries:
            if key.kind != "scalar":
                self._complain(key, "a key must be text")
            elif key.text in seen:
                self._complain(key, f"`{key.text}` is already in line {seen[key.text].line}")
            else:
                seen[key.text] = key

    def _complain(self, node: Node, message: str) -> None:
        self.problems.append(Problem(self.display, node.line, message, column=node.column))

    def _refuse(self, node: Node, message: str) -> None:
        raise ComposeError((*self.problems, Problem(self.display, node.line, message, column=node.column)))


def _tag(event: Any) -> str:
    return str(event.tag) if event.tag else ""
