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
    for file in replay.files:
        name = file.relative_to(replay.checkout.root).as_posix()
        before = file.read_bytes().decode()
        after = (replay.there / name).read_bytes().decode()
        for line in differing(before, after):
            yield f"{name}: {line}"


def differing(before: str, after: str) -> Iterator[str]:
    """Yield each line that is removed though it is not of a changed key, or added though it is not of one."""
    one, other = before.splitlines(keepends=True), after.splitlines(keepends=True)
    allowed = _lines(before, one)
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


def _lines(text: str, lines: list[str]) -> set[int]:
    """Return the numbers, from 0, of the lines that a changed key of a service stands on."""
    from ruamel.yaml import YAML

    found: set[int] = set()
    text = text.replace("\r\n", "\n")
    for root in YAML(typ="rt").compose_all(text):
        for service in _values(root, "services"):
            for key, value in service.value if hasattr(service, "value") else ():
                if getattr(key, "value", None) in CHANGED:
                    last = value.end_mark.line - (value.end_mark.column == 0)
                    if value.id != "scalar" and not value.flow_style and value.end_mark.index < len(text):
                        last = value.end_mark.line - 1
                    # Comments and blank lines after a value are not part of it.
                    while last > key.start_mark.line and _is_blank(lines[min(last, len(lines) - 1)]):
                        last -= 1
                    found |= set(range(key.start_mark.line, max(last, key.start_mark.line) + 1))
    return found


def _values(root: Any, name: str) -> Iterator[Any]:
    for key, value in root.value if root is not None and root.id == "mapping" else ():
        if key.value == name and value.id == "mapping":
            yield from (item for _, item in value.value if item.id == "mapping")


def _is_blank(line: str) -> bool:
    return not line.strip() or line.strip().startswith("#")
