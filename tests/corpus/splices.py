"""Whether a rewritten compose file differs from the original in its changed keys alone, line by line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any

from tests.corpus.replay import Replay

CHANGED = ("build", "image", "pull_policy")
_ADDED = re.compile(r"""[ \t]*(?:["']?image["']?:[ ]+\S+|["']?pull_policy["']?: missing)[ \t]*(?:#.*)?""")


def check(replay: Replay) -> Iterator[str]:
    """Compare every file that devcontainer.json names with its copy in the release."""
    built = {name for name, said in replay.rendered.json["services"].items() if said["built"]}
    for file in replay.files:
        name = file.relative_to(replay.checkout.repository).as_posix()
        before = file.read_bytes().decode()
        after = (replay.there / name).read_bytes().decode()
        for line in differing(before, after, built):
            yield f"{name}: {line}"


def differing(before: str, after: str, built: set[str]) -> Iterator[str]:
    """Yield each line that is removed though it is not of a changed key, or added though it is not of one.

    Only services that are `built` have such keys.
    """
    one, other = before.splitlines(keepends=True), after.splitlines(keepends=True)
    allowed = _lines(before, one, built)
    # One empty line is as good as another.
    if any(not one[index].strip() for index in allowed):
        allowed |= {index for index, line in enumerate(one) if not line.strip()}
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        if tag == "equal":
            continue
        yield from (f"- {one[index]!r}" for index in range(start, end) if index not in allowed)
        breaks = {line[len(line.rstrip("\r\n")) :] for line in one}
        for line in other[new_start:new_end]:
            text = line.rstrip("\r\n")
            is_flow = "{" in text and start < end
            if not is_flow and not _ADDED.fullmatch(text):
                yield f"+ {line!r}"
            if line[len(text) :] not in (*breaks, ""):
                yield f"+ {line!r} ends in another way than the lines around it"


def _lines(text: str, lines: list[str], built: set[str]) -> set[int]:
    """Return the numbers, from 0, of the lines that a changed key of a service stands on."""
    from ruamel.yaml import YAML

    # Tabs are taken in more places than ruamel.yaml takes them.
    text = text.replace("\r\n", "\n").replace("\t", " ")
    return {
        line
        for root in YAML(typ="rt").compose_all(text)
        for service in _services(root, built)
        for key, value in service.value
        if key.value in CHANGED
        for line in range(key.start_mark.line, _last(key, value, text, lines) + 1)
    }


def _last(key: Any, value: Any, text: str, lines: list[str]) -> int:
    """Return the last line of a value; comments and blank lines after it are not part of it."""
    last = value.end_mark.line - (value.end_mark.column == 0)
    if value.id != "scalar" and not value.flow_style and value.end_mark.index < len(text):
        last = value.end_mark.line - 1
    while last > key.start_mark.line and _is_blank(lines[min(last, len(lines) - 1)]):
        last -= 1
    return max(last, key.start_mark.line)


def _services(root: Any, built: set[str]) -> Iterator[Any]:
    for key, value in root.value if root is not None and root.id == "mapping" else ():
        if key.value == "services" and value.id == "mapping":
            yield from (item for name, item in value.value if item.id == "mapping" and name.value in built)


def _is_blank(line: str) -> bool:
    return not line.strip() or line.strip().startswith("#")
