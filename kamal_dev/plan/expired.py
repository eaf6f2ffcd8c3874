"""Make the plan of a reaping: which stacks are over, and which hosts nobody needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kamal_dev.errors import DevError
from kamal_dev.model import Host, Lifetime
from kamal_dev.plan.operation import DestroyHost, Operation, RemoveStack, StopStack
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.values import dataclass

OVER, WORKED, KEPT, UNUSED = "over", "worked", "kept", "unused"


@dataclass(frozen=True)
class ReapCandidate:
    """Hold what is known of a stack whose end may have come.

    `state` is what its host says of it: OVER, WORKED (`reason` would be lost), KEPT for `reason`, or UNUSED (the host
    has no stack, and a provider created it). `created` is None unless a host that a provider created goes with it: its
    name, or empty if it has the name of the stack. `error` if the host did not answer.
    """

    stack: str
    host: Host
    state: str
    reason: str = ""
    lifetime: Lifetime | None = None
    created: str | None = None
    error: DevError | None = None


def reap(candidates: Iterable[ReapCandidate]) -> Plan:
    """Return what is stopped, removed and destroyed."""
    return Plan(stacks=tuple(map(_stack, candidates)))


def _stack(candidate: ReapCandidate) -> StackPlan:
    operations = () if candidate.error else tuple(_operations(candidate))
    is_worked = candidate.state == WORKED and not candidate.error
    notes = (_advice(candidate.stack),) if is_worked else ()
    reason = "" if operations or candidate.error else candidate.reason
    return StackPlan(candidate.stack, candidate.host.address, operations, reason, candidate.error, notes)


def _operations(candidate: ReapCandidate) -> Iterator[Operation]:
    why = candidate.lifetime.why if candidate.lifetime else ""
    if candidate.state == OVER:
        yield RemoveStack(causes=(why,) if why else ())
        if candidate.created is not None:
            yield DestroyHost(host=candidate.created)
    elif candidate.state == WORKED and not (candidate.lifetime and candidate.lifetime.ended):
        yield StopStack(causes=(why, f"not removed: {candidate.reason}"))
    elif candidate.state == UNUSED:
        yield DestroyHost(host=candidate.created or "", causes=("it has no stack",))


def _advice(stack: str) -> str:
    return f"`dev pull {stack}` fetches the work, `dev reap {stack} --force` removes the stack with it"
