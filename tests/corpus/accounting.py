"""4 Nothing dropped: every property and key has its place in the table, and every notice its row."""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.corpus import strictness
from tests.corpus.replay import Replay, Verdict

CARRIED = {"applied", "rewritten", "built", "sent", "mapped", "left to Compose", "added"}
REPORTED = {"ignored", "not as written", "with a warning"}
_NOTICE = re.compile(r"(?P<file>[^:]+):(?P<line>\d+): .+", re.DOTALL)


def check(replay: Replay) -> Verdict:
    """Count keys, rows and notices against each other."""
    if replay.rendered.exit_code:
        return Verdict(note="nothing is rendered")
    said = replay.rendered.json
    rows = said["explanations"]
    problems = [*_of_devcontainer(replay, rows), *_places(replay, rows), *_of_notices(said["notices"], rows)]
    if replay.is_compose:
        problems += _of_compose(replay, rows)
    return Verdict(tuple(problems))


def _of_devcontainer(replay: Replay, rows: list[dict[str, Any]]) -> Iterator[str]:
    path = replay.checkout.root / replay.checkout.config
    name, data = str(path.relative_to(replay.checkout.repository)), path.read_bytes()
    written = json.loads(strictness.plain(data.decode("utf-8-sig")), strict=False)
    keys = [key for key, value in written.items() if value is not None]
    if isinstance(written.get("build"), dict) and written["build"].get("dockerfile"):
        keys += [f"build.{key}" for key in written["build"]]
    found = collections.Counter(row["key"] for row in rows if row["where"].startswith(f"{name}:"))
    for key in keys:
        if found[key] != 1:
            yield f"{name}: `{key}` is explained {found[key]} times"


def _of_compose(replay: Replay, rows: list[dict[str, Any]]) -> Iterator[str]:
    for file in replay.files:
        name = file.relative_to(replay.checkout.repository).as_posix()
        found = collections.Counter(row["key"] for row in rows if row["where"].startswith(f"{name}:"))
        for key in _keys(file.read_bytes().decode("utf-8-sig")):
            if not found[key] and not found[f"{key}[0]"]:
                yield f"{name}: `{key}` is not explained"


def _keys(text: str) -> Iterator[str]:
    """Yield the keys that the table must have: of the file, of each service, of each build."""
    from ruamel.yaml import YAML

    def entries(node: Any) -> list[tuple[str, Any]]:
        return [(key.value, value) for key, value in node.value] if node is not None and node.id == "mapping" else []

    for root in YAML(typ="rt").compose_all(text.replace("\t", " ")):
        for key, value in entries(root):
            if key not in ("services", "volumes", "networks", "configs", "secrets"):
                yield key
                continue
            for name, item in entries(value):
                if key != "services":
                    yield f"{key}.{name}"
                    continue
                for inner, below in entries(item):
                    path = f"{key}.{name}.{inner}"
                    if inner == "volumes" and below.id == "sequence" and below.value:
                        yield from (f"{path}[{index}]" for index in range(len(below.value)))
                    else:
                        yield path


def _places(replay: Replay, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Look each row up in its file: the key, or the name it ends with, stands in that line."""
    for row in rows:
        found = re.fullmatch(r"(.+):(\d+)", row["where"])
        if row["outcome"] not in CARRIED | REPORTED or not row["text"] or not found:
            yield f"{row} is no row"
            continue
        if "dev.yml" in found[1]:
            continue
        folder = replay.there if row["outcome"] == "added" else replay.checkout.repository
        lines = (folder / found[1]).read_text("utf-8-sig").splitlines()
        number = int(found[2])
        last = re.sub(r"\[\d+\]$", "", row["key"]).rpartition(".")[2]
        is_item = row["key"].endswith("]")
        if not 0 < number <= len(lines) or (not is_item and last not in lines[number - 1]):
            yield f"`{row['key']}` does not stand at {row['where']}"


def _of_notices(notices: list[str], rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from (f"said twice: {text}" for text, count in collections.Counter(notices).items() if count > 1)
    yield from (f"has no place: {text}" for text in notices if not _NOTICE.fullmatch(text))
    shown = collections.Counter(notice for row in rows for notice in row["notices"])
    yield from (f"in {shown[text]} rows of the table: {text}" for text in notices if shown[text] != 1)
    for row in rows:
        if row["outcome"] in REPORTED and not row["notices"]:
            yield f"no notice says that `{row['key']}` is {row['outcome']}"
        if row["outcome"] == "ignored" and len(row["notices"]) != 1:
            yield f"{len(row['notices'])} notices say that `{row['key']}` is ignored"
        if row["outcome"] in CARRIED and row["notices"]:
            yield f"`{row['key']}` is {row['outcome']}, and there are {row['notices']}"
