"""The audit log of this machine: who did what from here. Append-only."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "audit.log"
TAIL = 1 << 20  # bytes to read from the end, at most


def append(folder: Path, record: Mapping[str, Any]) -> None:
    """Append a line of JSON to the log in `folder` (absolute), in one write. Raises OSError."""
    line = f"{json.dumps(record, ensure_ascii=False)}\n".encode(errors="replace")
    file = os.open(folder / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, line)
    finally:
        os.close(file)


def read(folder: Path) -> tuple[dict[str, Any], ...]:
    """Return the last records, oldest first; other lines are skipped.

    Returns nothing if there is no log.
    """
    try:
        with (folder / NAME).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            records = [_record(line) for line in file.read().splitlines()]
    except OSError:
        return ()
    return tuple(record for record in records if record)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("at"), str) else None
