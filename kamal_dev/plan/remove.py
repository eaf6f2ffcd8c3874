"""Make the plan of a removal: stacks first, then the hosts that a provider created for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kamal_dev.model import Host
from kamal_dev.plan.operation import DestroyHost, Operation, RemoveStack
from kamal_dev.plan.plan import Plan, StackPlan


def remove(targets: Mapping[str, Host], created: frozenset[str], *, keep_volumes: bool) -> Plan:
    """Return what is removed of each stack; `created` are the stacks whose hosts a provider created.

    With `keep_volumes`, volumes, workspaces and hosts stay.
    """
    stacks = (
        StackPlan(stack, host.address, tuple(_operations(stack in created, host, keep_volumes=keep_volumes)))
        for stack, host in targets.items()
    )
    return Plan(stacks=tuple(stacks))


def _operations(is_created: bool, host: Host, *, keep_volumes: bool) -> Iterator[Operation]:
    if host.address or keep_volumes:
        yield RemoveStack(keep_volumes=keep_volumes)
    if is_created and not keep_volumes:
        yield DestroyHost(causes=() if host.address else ("switched off",))
