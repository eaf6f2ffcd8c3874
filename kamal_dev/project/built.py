"""What was built on this machine, and how: `.kamal/local/built.json`. A cache: lost, the builder's own cache answers.

Kept beside the images and not as a label in them, because a label that differs makes another
image of the same content.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path

NAME = "built.json"
KEPT = 500

_writing = threading.Lock()


def was_built(folder: Path, reference: str, mark: str, image_id: str) -> bool:
    """Whether this very image was made here by the recipe that `mark` stands for."""
    return bool(image_id) and _read(folder).get(reference) == f"{mark} {image_id}"


def note(folder: Path, reference: str, mark: str, image_id: str) -> None:
    """Remember how an image was made; never raises for what the disk does."""
    with _writing:
        known = {name: made for name, made in _read(folder).items() if name != reference}
        kept = dict([*known.items(), (reference, f"{mark} {image_id}")][-KEPT:])
        new = folder / f".{NAME}.{os.getpid()}"
        try:
            new.write_text(json.dumps(kept, indent=1))
            new.replace(folder / NAME)
        except OSError:
            new.unlink(missing_ok=True)


def _read(folder: Path) -> Mapping[str, str]:
    try:
        found = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
