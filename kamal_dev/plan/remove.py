"""Make the plan of a removal: stacks first, then the hosts that a provider created for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kamal_dev.model import Host
from kamal_dev.plan.operation import DestroyHost, Operation, RemoveStack
from kamal_dev.plan.plan import Plan, StackPlan


def remove(targets: Mapping[str, Host], created: Mapping[str, str], *, keep_volumes: bool) -> Plan:
    """Return what is removed of each stack; `created` are the stacks with which a host goes that a provider created.

    Its value is the name of the host if stacks shared it. With `keep_volumes`, volumes, workspaces and hosts stay.
    """
    stacks = (
        StackPlan(stack, host.address, tuple(_operations(created.get(stack), host, keep_volumes=keep_volumes)))
        for stack, host in targets.items()
    )
    return Plan(stacks=tuple(stacks))


def _operations(created: str | None, host: Host, *, keep_volumes: bool) -> Iterator[Operation]:
    if host.address or keep_volumes:
        yield RemoveStack(keep_volumes=keep_volumes)
    if created is not None and not keep_volumes:
        yield DestroyHost(host=created, causes=() if host.address else ("switched off",))
