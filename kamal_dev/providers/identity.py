"""An id that identifies a project's hosts on this machine, and stays with its folder wherever that is moved."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

FILE = "project.json"


def read(directory: Path, fresh: str) -> str:
    """Return the id of the project with this private folder; `fresh` is the id for a project without one.

    A copy of the folder has the id of the original, which still exists: the copy gets its own.
    """
    with suppress(OSError, ValueError, AttributeError):
        known = json.loads((directory / FILE).read_text(encoding="utf-8"))
        id_, place = str(known.get("id", "")), Path(str(known.get("directory", "")))
        if id_ and (place == directory.resolve() or not _has(place, id_)):
            return id_
    return fresh


def keep(directory: Path, id_: str) -> None:
    """Store the id. A folder that cannot be written is identified by its path."""
    text = json.dumps({"id": id_, "directory": str(directory.resolve())}) + "\n"
    path = directory / FILE
    with suppress(OSError):
        if path.is_symlink() or not path.exists() or path.read_text(encoding="utf-8") != text:
            fresh = directory / f".{FILE}.new"
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)


def _has(place: Path, id_: str) -> bool:
    """Return whether the project is still at its former place."""
    try:
        return bool(json.loads((place / FILE).read_text(encoding="utf-8")).get("id") == id_)
    except (OSError, ValueError, AttributeError):
        return False
