"""Replace `build` by `image` in the text of a compose file. Every other character stays.

Only text in the service's own mapping is replaced. A build that comes from a merge key, `extends` or `include` is
left to the overlay, and so is one with an anchor that is used elsewhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kamal_dev.compose.value import Scope, convert
from kamal_dev.errors import ComposeError
from kamal_dev.syntax.composer import parse
from kamal_dev.syntax.node import Node
from kamal_dev.values import dataclass

CHANGED = frozenset({"build", "image", "pull_policy"})


@dataclass(frozen=True)
class Edit:
    """Replace the characters from `start` to `end`."""

    start: int
    end: int
    text: str


def spliced(text: str, display: str, images: Mapping[str, str]) -> str:
    """Return the text in which the services named in `images` run their image instead of building it.

    The text is returned unchanged if splicing would affect anything but `build`, `image` and `pull_policy` of
    services; the overlay then does the work.
    """
    roots = parse(text, display, ComposeError)
    edits = {
        (index, name): list(_edits(text, mapping, reference))
        for index, root in enumerate(roots)
        for name, mapping in _services(root)
        if (reference := images.get(name)) is not None
    }
    _drop_needed(edits, roots)
    pieces: list[str] = []
    done = 0
    for edit in _in_order(edit for group in edits.values() for edit in group):
        pieces += (text[done : edit.start], edit.text)
        done = edit.end
    result = "".join((*pieces, text[done:]))
    return result if _is_same_beside(text, result, display) else text


def _services(root: Node) -> Iterator[tuple[str, Node]]:
    """Yield the services whose mapping is in this document itself."""
    services = root.entry("services") if root.kind == "mapping" else None
    if services is not None and services[1].kind == "mapping":
        for key, value in services[1].entries:
            if value.kind == "mapping":
                yield key.text, value


def _edits(text: str, service: Node, reference: str) -> Iterator[Edit]:
    build, image, policy = (service.entry(key) for key in ("build", "image", "pull_policy"))
    if build is not None:
        if image is None:
            yield _replaced_build(text, *build, service, reference)
        else:
            removed = _removed(text, build, service)
            if removed is None:
                return
            yield removed
    if image is not None:
        value = image[1]
        yield Edit(value.start, value.end, reference if value.start < value.end else f" {reference}")
    if build is not None and policy is not None and policy[1].kind == "scalar" and policy[1].text == "build":
        yield Edit(policy[1].start, policy[1].end, "missing")


def _replaced_build(text: str, key: Node, value: Node, service: Node, reference: str) -> Edit:
    new = f"image: {reference}"
    first_line_end = _line_end(text, key.end)
    if service.style == "flow" or value.style != "block" or value.end <= first_line_end:
        return Edit(key.start, value.end, new)
    # Nested text is removed with its comments; a comment after the key itself stays.
    properties_end = _properties_end(text, key, value, first_line_end)
    comment = text[properties_end:first_line_end]
    return Edit(key.start, _line_end(text, value.end), new + (comment if comment.strip() else ""))


def _properties_end(text: str, key: Node, value: Node, line_end: int) -> int:
    """Return the end of the key's own line without its comment: after colon, anchor and tag."""
    end = text.index(":", key.end) + 1
    while True:
        start = end + len(text[end:line_end]) - len(text[end:line_end].lstrip())
        if start >= line_end or text[start] not in "&!":
            return end
        words = text[start:line_end].split(None, 1)
        end = start + len(words[0])


def _removed(text: str, entry: tuple[Node, Node], service: Node) -> Edit | None:
    """Return the edit that removes an entry; None if it shares its lines with others."""
    key, value = entry
    if service.style == "flow":
        return _removed_from_flow(entry, service)
    start = text.rfind("\n", 0, key.start) + 1
    if text[start : key.start].strip(" "):
        return None
    end = text.find("\n", max(value.end, key.end))
    if end >= 0:
        return Edit(start, end + 1, "")
    return Edit(max(start - (2 if text[:start].endswith("\r\n") else 1), 0), len(text), "")


def _removed_from_flow(entry: tuple[Node, Node], service: Node) -> Edit:
    index = service.entries.index(entry)
    if index + 1 < len(service.entries):
        return Edit(entry[0].start, service.entries[index + 1][0].start, "")
    return Edit(service.entries[index - 1][1].end, entry[1].end, "")


def _line_end(text: str, position: int) -> int:
    """Return where the line ends, before its line break."""
    end = text.find("\n", position)
    if end < 0:
        return len(text)
    return end - 1 if text[position:end].endswith("\r") else end


def _drop_needed(edits: dict[tuple[int, str], list[Edit]], roots: tuple[Node, ...]) -> None:
    """Drop the edits of every service that would remove an anchor used elsewhere, until none does."""
    users = [[node for node in root.walk() if node.target is not None] for root in roots]
    needed = True
    while needed:
        needed = False
        for index, aliases in enumerate(users):
            owners = _Owners({key: group for key, group in edits.items() if key[0] == index})
            for alias in aliases:
                owner = owners.of(alias.target) if alias.target else None
                if owner and edits[owner] and not owners.of(alias):
                    edits[owner], needed = [], True


class _Owners:
    """Find the edits that remove a node."""

    def __init__(self, edits: dict[tuple[int, str], list[Edit]]) -> None:
        pairs = [(edit, key) for key, group in edits.items() for edit in group if edit.start < edit.end]
        self._pairs = sorted(pairs, key=lambda pair: pair[0].start)
        self._starts = [edit.start for edit, _ in self._pairs]

    def of(self, node: Node) -> tuple[int, str] | None:
        """Return the key of the edits that contain the node; None if it stays. Edits do not overlap."""
        at = bisect_right(self._starts, node.start) - 1
        if at < 0:
            return None
        edit, key = self._pairs[at]
        return key if node.end <= edit.end else None


def _in_order(edits: Iterable[Edit]) -> list[Edit]:
    return sorted(edits, key=lambda edit: (edit.start, edit.end))


def _is_same_beside(before: str, after: str, display: str) -> bool:
    """Return whether two texts only differ in the images and builds of services."""
    try:
        return _beside(before, display) == _beside(after, display)
    except ComposeError:
        return False


def _beside(text: str, display: str) -> list[Any]:
    scope = Scope(Path("/"), {}, is_raw=True)
    documents = [convert(root, display, scope).plain() for root in parse(text, display, ComposeError)]
    for content in documents:
        services = content.get("services") if isinstance(content, dict) else None
        if isinstance(services, dict):
            content["services"] = {
                name: {key: item for key, item in service.items() if key not in CHANGED}
                if isinstance(service, dict)
                else service
                for name, service in services.items()
            }
    return documents
