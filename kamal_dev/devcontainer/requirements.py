"""What `hostRequirements` asks of a host, and whether a host has it. Asks no host."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])b)?\s*", re.IGNORECASE)
UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
# A machine sold as 8 GB shows less: its kernel keeps some memory, its file system some of the disk.
ENOUGH = 0.85


def amount(value: Any) -> int | None:
    """Return an amount in bytes: `4gb` is 4 GiB, a bare number is bytes; None for what is none."""
    match = AMOUNT.fullmatch(str(value)) if isinstance(value, (int, float, str)) else None
    return int(float(match[1]) * UNITS[(match[2] or "").lower()]) if match else None


def sizes(asked: Mapping[str, Any]) -> dict[str, str]:
    """Return `cpus` and `memory`, where asked for, as a provider's options have them."""
    memory, cpus = amount(asked.get("memory")), asked.get("cpus")
    found = {"cpus": f"{cpus:g}" if cpus else "", "memory": str(memory) if memory else ""}
    return {name: size for name, size in found.items() if size}


def lacking(asked: Mapping[str, Any], *, cpus: int, memory: int, disk: int, gpu: bool) -> tuple[str, ...]:
    """Say for each thing that is asked for and not there how much is there; `memory` and `disk` are bytes."""
    return tuple(_lacking(asked, cpus, {"memory": memory, "storage": disk}, gpu))


def _lacking(asked: Mapping[str, Any], cpus: int, has: Mapping[str, int], gpu: bool) -> Iterator[str]:
    wanted = asked.get("cpus") or 0
    if isinstance(wanted, (int, float)) and cpus < wanted:
        yield f"{cpus} of {wanted:g} CPUs"
    for name, there in has.items():
        least = amount(asked.get(name)) or 0
        if there < least * ENOUGH:
            yield f"{_shown(there)} of {_shown(least)} {name}"
    # An object says what kind of GPU; `"optional"` is content without one.
    if (asked.get("gpu") is True or isinstance(asked.get("gpu"), dict)) and not gpu:
        yield "no GPU"


def _shown(size: int) -> str:
    return f"{size / UNITS['g']:.1f} GB".replace(".0 ", " ")
