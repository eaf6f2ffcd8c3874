"""Which hosts on this machine are a project's: an id that stays with its folder, wherever that is moved to."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

FILE = "project.json"


def read(directory: Path, fresh: str) -> str:
    """Return the id of the project whose private folder this is; `fresh` is that of one that has none yet.

    A copy of the folder has the id of the other, which is still where it was: it gets one of its own.
    """
    with suppress(OSError, ValueError, AttributeError):
        known = json.loads((directory / FILE).read_text(encoding="utf-8"))
        id_, place = str(known.get("id", "")), Path(str(known.get("directory", "")))
        if id_ and (place == directory.resolve() or not _has(place, id_)):
            return id_
    return fresh


def keep(directory: Path, id_: str) -> None:
    """Write the id down. A folder that cannot be written to is known by its path alone."""
    text = json.dumps({"id": id_, "directory": str(directory.resolve())}) + "\n"
    path = directory / FILE
    with suppress(OSError):
        if path.is_symlink() or not path.exists() or path.read_text(encoding="utf-8") != text:
            fresh = directory / f".{FILE}.new"
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)


def _has(place: Path, id_: str) -> bool:
    """Whether the project is still in its former place."""
    try:
        return bool(json.loads((place / FILE).read_text(encoding="utf-8")).get("id") == id_)
    except (OSError, ValueError, AttributeError):
        return False
