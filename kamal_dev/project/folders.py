"""Compute versions of folders outside git. Reads every file, changes none."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

SKIPPED = {".git", ".kamal", "node_modules", ".venv"}
LARGE = 64 << 20  # bytes; for larger files, the metadata is used instead of the content
SUFFIX = 12


def version(root: Path) -> tuple[str, dict[str, str]]:
    """Return the time of the newest file with a hash of the whole content, and the hash of each file by path."""
    latest, contents = 0.0, {}
    for path in walk(root):
        with suppress(FileNotFoundError):
            status = os.lstat(path)
            latest = max(latest, status.st_mtime)
            contents[os.path.relpath(path, root)] = f"{status.st_mode:o} {_hash(path, status)}"
    words = "\0".join(f"{name}\0{content}" for name, content in sorted(contents.items()))
    content = hashlib.sha256(words.encode(errors="surrogateescape")).hexdigest()
    return f"{datetime.fromtimestamp(latest, timezone.utc):%Y%m%d%H%M%S}-{content[:SUFFIX]}", contents


def walk(root: Path) -> Iterator[str]:
    """List every file and link, except those that no version depends on (`SKIPPED`)."""
    for folder, names, files in os.walk(root):
        links = [name for name in names if Path(folder, name).is_symlink()]
        names[:] = [name for name in names if name not in SKIPPED]
        yield from (os.path.join(folder, name) for name in (*files, *links) if name not in SKIPPED)  # noqa: PTH118


def _hash(path: str, status: os.stat_result) -> str:
    """Return a fingerprint of a file: its hash, or its metadata if it cannot be read."""
    if stat.S_ISLNK(status.st_mode):
        return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()  # noqa: PTH115
    times = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    if not stat.S_ISREG(status.st_mode) or status.st_size > LARGE:
        return times
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            digest = hashlib.sha256()
            while chunk := file.read(1 << 20):
                digest.update(chunk)
            return digest.hexdigest()
    except PermissionError:
        return times
