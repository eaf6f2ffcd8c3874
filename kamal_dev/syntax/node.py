"""One node of a YAML text, with its exact place. Resolves and converts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


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
        """The node itself, or the target of an alias."""
        return self.target or self

    @property
    def is_merge(self) -> bool:
        """Whether this key is `<<`."""
        return self.style == "plain" and self.text == "<<"

    def entry(self, key: str) -> tuple[Node, Node] | None:
        """Return the key and value nodes that are written in this mapping itself."""
        return next((pair for pair in self.entries if pair[0].text == key), None)

    def walk(self) -> Iterator[Node]:
        """Yield this node and all below it, in the order of the text; aliases are not followed."""
        yield self
        for key, value in self.entries:
            yield key
            yield from value.walk()
        for item in self.items:
            yield from item.walk()
