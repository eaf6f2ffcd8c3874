"""Remove a stack from its host, then destroy the hosts that the provider created for removed stacks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from kamal_dev.commands import answers, events
from kamal_dev.errors import DevError, HostError
from kamal_dev.model import Host, Step
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.apply import failure
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.scripts import EventPrinter, ask
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.record import update
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.plan.operation import DestroyHost
from kamal_dev.plan.plan import StackPlan
from kamal_dev.project import Project
from kamal_dev.providers import Provider

REMOVING = 600.0
UNTOUCHED = "untouched"  # a host that is still being created: no engine answers, and there is nothing of the stack
HOST_DECIDES = ("kept", "stopped")


def remove_stack(
    project: Project, connections: HostConnections, target: Host, plan: StackPlan, step: Step
) -> StackResult:
    """Remove one stack with a step; the host itself is destroyed after all stacks are removed.

    The host may also have `kept` the stack, or only `stopped` it.
    """
    started, name = time.monotonic(), plan.stack
    is_destroyed = plan.first(DestroyHost) is not None
    connections.output.start("removing", name, target)
    try:
        outcome = in_turn(connections, target, name, lambda: _removal(connections, target, step))
        creates_hosts = project.config.provider.creates_hosts
        if not _is_fine(outcome) and not (outcome.code == UNTOUCHED and creates_hosts):
            raise _error(target, name, outcome)
    except DevError as error:
        connections.output.fail("removing", error, target)
        return failure(target, name, error)
    seconds = time.monotonic() - started
    if outcome.state in HOST_DECIDES:
        _tell(connections.output, name, target, outcome)
        return StackResult(name, target.address, outcome.state, seconds=seconds)
    # If the host is destroyed too, something is removed in any case.
    if not outcome.removed and not is_destroyed:
        connections.output.skip("removing", name, target, seconds=seconds)
        return StackResult(name, target.address, "absent", seconds=seconds)
    connections.output.done("removing", name, target, seconds=seconds)
    return StackResult(name, target.address, "removed", seconds=seconds)


def destroy_hosts(
    project: Project,
    output: Output,
    provider: Provider,
    targets: Mapping[str, Host],
    outcomes: Iterable[StackResult],
) -> None:
    """Destroy the hosts of the removed stacks, and forget them."""
    states = {outcome.stack: outcome.state for outcome in outcomes if outcome.is_fine}
    over = {stack: state for stack, state in states.items() if state not in HOST_DECIDES}
    if removed := tuple(stack for stack, state in over.items() if state == "removed"):
        provider.destroy(removed)
    if over:
        update(project, output, lambda state: state.removed((stack, targets[stack]) for stack in over))


def _tell(output: Output, name: str, target: Host, outcome: events.ScriptResult) -> None:
    if outcome.state == "stopped":
        output.done("stopping", "", target)
    else:
        output.warn(f"{name} was kept: {outcome.reason}", target, phase="removing")


def _is_fine(outcome: events.ScriptResult) -> bool:
    return bool(outcome) or outcome.state == "kept"


def _error(target: Host, name: str, outcome: events.ScriptResult) -> HostError:
    hint = "fix that, then run the command again" if outcome.state == "incomplete" else ""
    return HostError(target.name, f"{name} could not be removed: {outcome.reason}", hint=hint)


def _removal(connections: HostConnections, target: Host, step: Step) -> events.ScriptResult:
    printer = EventPrinter(connections.output, target)
    return answers.outcome(ask(connections, target, step, timeout=REMOVING, on_line=printer).output)
