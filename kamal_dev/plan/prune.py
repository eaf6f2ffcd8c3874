"""Make the plan of a prune from the leftovers that each host reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from kamal_dev.commands.stacks import Leftover
from kamal_dev.errors import DevError
from kamal_dev.model import Host
from kamal_dev.plan.operation import PrunePiece
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.values import dataclass

SHARED = ("image", "run")


@dataclass(frozen=True)
class Leftovers:
    """Hold what deploys of a stack left on a host; `error` if the host did not answer."""

    stack: str
    host: Host
    pieces: tuple[Leftover, ...] = ()
    error: DevError | None = None


def of_one_stack(leftovers: Iterable[Leftovers]) -> tuple[Leftovers, ...]:
    """Leave the pieces that belong to a whole host to one of its stacks, though all of them report these."""
    taken: set[tuple[Host, str, str]] = set()
    results = []
    for item in leftovers:
        machine = replace(item.host, name="")
        pieces = (piece for piece in item.pieces if (machine, piece.kind, piece.name) not in taken)
        results.append(replace(item, pieces=tuple(pieces)))
        taken |= {(machine, piece.kind, piece.name) for piece in item.pieces if piece.kind in SHARED}
    return tuple(results)


def prune(leftovers: Sequence[Leftovers]) -> Plan:
    """Return what is removed from each host."""
    return Plan(stacks=tuple(map(_stack, leftovers)))


def _stack(leftovers: Leftovers) -> StackPlan:
    operations = tuple(
        PrunePiece(kind=piece.kind, name=piece.name, bytes=piece.bytes, causes=(size(piece.bytes),))
        for piece in leftovers.pieces
        if piece.ok
    )
    kept = tuple(f"{piece.kind} {piece.name} is kept: {piece.reason}" for piece in leftovers.pieces if not piece.ok)
    reason = "" if operations or leftovers.error else "nothing to remove"
    return StackPlan(leftovers.stack, leftovers.host.address, operations, reason, leftovers.error, kept)


def size(count: int) -> str:
    """Return a size for people, in decimal units like `docker system df`: `1.2 GB`."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.3g} TB"
