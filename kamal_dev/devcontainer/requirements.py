"""`hostRequirements`: what a host must have. Source: devcontainer.json reference, "Minimum host requirements"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_UNITS = {"": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_SIZE = re.compile(r"(\d+)\s*(tb|gb|mb|kb|)", re.IGNORECASE)


def size(text: Any) -> int:
    """Return `4gb` in bytes, units being binary; 0 for what is no size."""
    found = _SIZE.fullmatch(str(text).strip())
    return int(found[1]) * _UNITS[found[2].lower()] if found else 0


def highest(groups: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge requirements: of each the highest; of `gpu` the last that is not `optional`."""
    found: dict[str, Any] = {}
    for group in groups:
        for name, value in group.items():
            if name in ("memory", "storage", "cpus"):
                found[name] = max(found.get(name, value), value, key=size)
            elif name not in found or value not in (False, "optional"):
                found[name] = value
    return found
