"""Show how the compose files of a release differ from those on a host, as a unified diff. Reads no file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping


def unified(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return the diff of files by path, in the format of `git diff`; empty if all are equal."""
    return "\n".join(line for path in sorted({*before, *after}) for line in _file(path, before, after))


def _file(path: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    old, new = (f"{side}/{path}" if path in files else "/dev/null" for side, files in (("a", before), ("b", after)))
    mine, theirs = (files.get(path, "").splitlines() for files in (before, after))
    yield from difflib.unified_diff(mine, theirs, old, new, lineterm="")
