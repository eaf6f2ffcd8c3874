"""`hostRequirements`: what a host must have. Source: devcontainer.json reference, "Minimum host requirements"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kamal_dev.pattern import pattern

_UNITS = {"": 1, "kb": 1 << 10, "mb": 1 << 20, "gb": 1 << 30, "tb": 1 << 40}
_SIZE = pattern(r"(\d+)\s*(tb|gb|mb|kb|)", re.IGNORECASE)
# A machine sold with 8 GB has less: the kernel reserves memory, the file system reserves disk space.
ENOUGH = 0.85


def size(text: Any) -> int:
    """Return `4gb` in bytes, with binary units; 0 for an invalid size."""
    match = _SIZE.fullmatch(str(text).strip())
    return int(match[1]) * _UNITS[match[2].lower()] if match else 0


def highest(groups: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge requirements: the highest of each; for `gpu` the last one that is not `optional`."""
    greatest: dict[str, Any] = {}
    for group in groups:
        for name, value in group.items():
            if name in ("memory", "storage", "cpus"):
                greatest[name] = max(greatest.get(name, value), value, key=size)
            elif name not in greatest or value not in (False, "optional"):
                greatest[name] = value
    return greatest


def sizes(asked: Mapping[str, Any]) -> dict[str, str]:
    """Return `cpus` and `memory`, if required, in the form of a provider's options."""
    memory, cpus = size(asked.get("memory")), asked.get("cpus")
    texts = {"cpus": f"{cpus:g}" if cpus else "", "memory": str(memory) if memory else ""}
    return {name: text for name, text in texts.items() if text}


def lacking(asked: Mapping[str, Any], *, cpus: int, memory: int, disk: int, gpu: bool) -> tuple[str, ...]:
    """Return what is missing, and how much there is instead; `memory` and `disk` are bytes."""
    return tuple(_lacking(asked, cpus, {"memory": memory, "storage": disk}, gpu))


def _lacking(asked: Mapping[str, Any], cpus: int, available: Mapping[str, int], gpu: bool) -> Iterator[str]:
    wanted = asked.get("cpus") or 0
    if cpus < wanted:
        yield f"{cpus} of {wanted:g} CPUs"
    for name, actual in available.items():
        least = size(asked.get(name))
        if actual < least * ENOUGH:
            yield f"{_shown(actual)} of {_shown(least)} {name}"
    # An object describes the kind of GPU; with `"optional"`, none is required.
    if (asked.get("gpu") is True or isinstance(asked.get("gpu"), dict)) and not gpu:
        yield "no GPU"


def _shown(bytes_: int) -> str:
    return f"{bytes_ / _UNITS['gb']:.1f} GB".replace(".0 ", " ")
