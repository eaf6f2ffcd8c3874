"""Parse a YAML file into nodes, for all files that people write. Resolves and converts nothing.

A text that would be expensive is refused early: a bomb is found in the parser's events, before it is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from kamal_dev.errors import Problem
from kamal_dev.syntax.node import Node
from kamal_dev.syntax.text import Failure
from kamal_dev.values import dataclass

CORE = "tag:yaml.org,2002:"
_CORE_TAGS = {"", *(CORE + name for name in ("map", "seq", "str", "int", "float", "bool", "null", "timestamp"))}


@dataclass(frozen=True)
class YamlLimits:
    """Hold how much of a file is read; `expanded` counts nodes with every alias followed, `documents` 0 is no limit."""

    characters: int = 1 << 20
    nodes: int = 20_000
    expanded: int = 100_000
    depth: int = 100
    documents: int = 0


@dataclass(frozen=True)
class YamlDocument:
    """Hold the root of each non-empty document of a file, and problems that do not prevent reading it."""

    roots: tuple[Node, ...]
    problems: tuple[Problem, ...]


@lru_cache(maxsize=64)
def compose(text: str, display: str, failure: Failure, limits: YamlLimits = YamlLimits()) -> YamlDocument:
    """Return the nodes of a text; `display` names the file in messages.

    Raises `failure` for text that is not YAML, is nested too deeply or grows too large when its aliases are expanded,
    before anything follows them. Duplicate keys, keys that are not text and forbidden tags are problems of the
    document.
    """
    if len(text) > limits.characters:
        raise failure(Problem(display, 0, f"has {len(text)} characters; at most {limits.characters} are read"))
    composer = _Composer(text, display, failure, limits)
    for event in _events(text, display, failure, limits):
        composer.take(event)
    roots = tuple(root for root in composer.roots if root.kind != "scalar" or root.text)
    return YamlDocument(roots, tuple(composer.problems))


def parse(text: str, display: str, failure: Failure) -> tuple[Node, ...]:
    """Return the root of every document that is not empty. Raises `failure` with all that is wrong."""
    document = compose(text, display, failure)
    if document.problems:
        raise failure(document.problems)
    return document.roots


def _events(text: str, path: str, failure: Failure, limits: YamlLimits) -> Iterator[Any]:
    """Yield ruamel's events, one by one."""
    # Imported only when a file is parsed: the import takes as long as the rest of a start.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    from kamal_dev.syntax.scanner import BoundedScanner

    yaml = YAML(typ="safe", pure=True)
    yaml.Scanner = BoundedScanner
    try:
        yield from yaml.parse(text)
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"contains the control character U+{ord(text[error.position]):04X}, which YAML does not allow"
        raise failure(Problem(path, line, message)) from None
    except MarkedYAMLError as error:
        raise failure(_problem(error, path)) from None
    except (YAMLError, AssertionError, ValueError, OverflowError, RecursionError) as error:
        # ruamel does not catch some of Python's errors: `"\UFFFFFFFF"` is not a valid character.
        raise failure(Problem(path, 0, f"is not YAML: {error}")) from None


def _problem(error: Any, path: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    problem = str(error.problem or error.context or "it cannot be read")
    if "'\\t'" in problem or "a tab character" in problem:
        message = "has a tab where YAML requires spaces"
    else:
        message = problem if type(error).__name__ == "TooDeep" else f"is not YAML: {problem}"
    return Problem(path, mark.line + 1 if mark else 0, message, column=mark.column + 1 if mark else 0)


class _Composer:
    """Build nodes from events without recursion, counting as it goes."""

    def __init__(self, text: str, display: str, failure: Failure, limits: YamlLimits) -> None:
        self.text = text
        self.display = display
        self.failure = failure
        self.limits = limits
        self.roots: list[Node] = []
        self.problems: list[Problem] = []
        self._open: list[tuple[Node, list[Node]]] = []
        self._anchors: dict[str, Node] = {}
        self._count = self._documents = 0

    def take(self, event: Any) -> None:
        name = type(event).__name__
        if name == "DocumentStartEvent":
            self._begin(event)
        elif name in ("MappingStartEvent", "SequenceStartEvent"):
            self._start(event, "mapping" if name.startswith("M") else "sequence")
        elif name in ("MappingEndEvent", "SequenceEndEvent"):
            self._finish(event)
        elif name == "AliasEvent":
            self._add(self._alias(event))
        elif name == "ScalarEvent":
            self._add(self._scalar(event))

    def _begin(self, event: Any) -> None:
        self._anchors = {}
        self._documents += 1
        if self._documents == self.limits.documents + 1 != 1:
            mark = event.start_mark
            message = "has a second document (`---`); only one is allowed"
            raise self.failure(Problem(self.display, mark.line + 1, message, column=mark.column + 1))

    def _node(self, event: Any, kind: str, **fields: Any) -> Node:
        start, end = event.start_mark, event.end_mark
        node = Node(kind, start.index, end.index, start.line + 1, start.column + 1, **fields)
        self._count += 1
        if self._count > self.limits.nodes:
            self._refuse(node, f"has more than {self.limits.nodes} nodes")
        if node.tag.startswith(CORE) and node.tag not in _CORE_TAGS:
            self._complain(node, f"the tag `!!{node.tag[len(CORE) :]}` is not allowed")
        if node.anchor:
            self._anchors[node.anchor] = node
        return node

    def _start(self, event: Any, kind: str) -> None:
        style = "flow" if event.flow_style else "block"
        node = self._node(event, kind, style=style, tag=_tag(event), anchor=event.anchor or "", is_open=True)
        self._open.append((node, []))
        if len(self._open) > self.limits.depth:
            self._refuse(node, f"is nested more than {self.limits.depth} levels deep")

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
        if node.size > self.limits.expanded:
            self._refuse(node, f"grows to more than {self.limits.expanded} nodes when its aliases are expanded")

    def _check_keys(self, node: Node) -> None:
        first: dict[str, Node] = {}
        for key, _ in node.entries:
            if key.kind != "scalar":
                self._complain(key, "a key must be text")
            elif key.text in first:
                self._complain(key, f"`{key.text}` is already defined in line {first[key.text].line}")
            else:
                first[key.text] = key

    def _complain(self, node: Node, message: str) -> None:
        self.problems.append(Problem(self.display, node.line, message, column=node.column))

    def _refuse(self, node: Node, message: str) -> None:
        raise self.failure((*self.problems, Problem(self.display, node.line, message, column=node.column)))


def _tag(event: Any) -> str:
    return str(event.tag) if event.tag else ""
