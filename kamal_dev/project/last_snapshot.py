"""Bring a store from its last snapshot to the source by the files that differ: no other file is looked at.

This is possible where git and the store see the same content in every file. Everything else is staged as a whole.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from kamal_dev.commands import git
from kamal_dev.project.repository import Repository, ask, listed
from kamal_dev.project.source import Source, differences_in
from kamal_dev.project.withheld import Withheld
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

NAME = "snapshot"  # in the store
RULES = ("config", "info/exclude", "info/attributes")  # files of the store that decide what a snapshot contains
ABSENT = "000000 "  # the mode of a file that is not there
Values = Mapping[str, str]


@dataclass(frozen=True)
class LastSnapshot:
    """Hold the `commit` of the last snapshot, and the mode and hash that each path has there that differs from it."""

    commit: str
    committed: Values


def forget(store: Path) -> LastSnapshot | None:
    """Return the last snapshot and delete the record of it: the store is about to change. None if it has none."""
    path = store / NAME
    text = path.read_bytes() if path.exists() else b""
    path.unlink(missing_ok=True)
    with suppress(ValueError, KeyError, TypeError):
        about = json.loads(text)
        if about["rules"] == _rules(store):
            return LastSnapshot(about["commit"], about["committed"])
    return None


def keep(store: Path, commit: str, differing: Iterable[tuple[str, str, str]]) -> None:
    """Record what the store contains: the commit, and how the files differ from it."""
    about = {"rules": _rules(store), "commit": commit, "committed": {path: old for path, old, _ in differing}}
    # Without the record, or with half of it, the next snapshot looks at all files.
    with suppress(OSError):
        (store / NAME).write_text(json.dumps(about), encoding="utf-8")


def changes(
    shell: Local, repository: Repository, last: LastSnapshot, source: Source, withheld: Withheld
) -> dict[str, str]:
    """Return what may differ from the last snapshot, and the mode and hash that it has now. Raises GitFailed."""
    root, commit = repository.work, source.version.commit
    between = () if last.commit == commit else listed(shell, git.between(root, last.commit, commit), root)
    moved = {path: new for path, _, new in differences_in(iter(between))}
    every = {**last.committed, **moved, **source.contents}
    return {path: value for path, value in every.items() if not withheld.hides(path)}


def restage(shell: Local, repository: Repository, view: git.Aside, changes: Values, source: Source) -> None:
    """Stage these changes; files that differ from the commit are read. Raises GitFailed."""
    root = repository.work
    read = sorted(path for path, value in changes.items() if path in source.contents and not _is_absent(value))
    # What is gone comes first: a folder may have taken the place of a file.
    known = sorted(changes.keys() - set(read), key=lambda path: (not _is_absent(changes[path]), path))
    if known:
        lines = (f"{changes[path]}\t{path}" for path in known)
        ask(shell, git.update_index(root, view, ("--replace",), map(os.fsencode, lines), given="--index-info"), root)
    if read:
        ask(shell, git.stage(root, view, map(os.fsencode, read), storing=git.STAGING), root)


def _is_absent(value: str) -> bool:
    return value.startswith(ABSENT)


def _rules(store: Path) -> str:
    """Return a text that is equal for equal rules."""
    return hashlib.sha256(b"\0".join((store / name).read_bytes() for name in RULES)).hexdigest()
