"""The story of `dev remove`: stop stacks, then destroy the hosts that the provider created."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from kamal_dev.commands import answers, events, host
from kamal_dev.errors import DevError, HostError
from kamal_dev.model import Host, Step
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.apply import failure
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.placing import give_up_claims
from kamal_dev.pipeline.hosts.scripts import EventPrinter, ask
from kamal_dev.pipeline.named import NamedStacks
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree, confirm_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.names import of_project
from kamal_dev.pipeline.run.record import remembered, unlisted, update
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.operation import DestroyHost, RemoveStack
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.remove import remove as plan_remove
from kamal_dev.project import Project
from kamal_dev.project.state import State
from kamal_dev.providers import Provider
from kamal_dev.shell.fanout import each

REMOVING = 300.0
NOTHING = "Nothing to remove"
UNTOUCHED = "untouched"  # a host that is still being created: no engine answers, and there is nothing of the stack


def remove(
    run: Run, names: tuple[str, ...], *, keep_volumes: bool, agree: Agree | None, skip_hooks: bool = False
) -> Report:
    """Remove every stack of this project, or those that match `names`.

    With `keep_volumes`, only the containers are removed; volumes, workspaces and hosts stay. A host whose stack could
    not be removed is not destroyed, unless it is switched off.
    """
    started = time.monotonic()
    targets, plan = removal(run, names, keep_volumes=keep_volumes)
    if not targets:
        run.output.info(NOTHING)
    else:
        confirm_plan(run.output, plan, _question(tuple(targets), keep_volumes), agree)
        Hooks(run, "remove", skip=skip_hooks).before("pre-connect", targets, left_behind="nothing was removed")
        if machines := run.provider.machines():
            give_up_claims(run.connections, machines, targets, run.provider.registrar())
    ended = each(
        plan.stacks,
        lambda item: _remove(run.project, run.connections, targets[item.stack], item),
        limit=run.connections.limit,
    )
    outcomes = tuple(outcome for outcome in ended if isinstance(outcome, StackResult))
    if not keep_volumes:
        _destroy(run.project, run.output, run.provider, targets, outcomes)
        NamedStacks(run).forget(outcome.stack for outcome in outcomes if outcome.is_fine)
    report = Report("Removed", str(run.project.version), outcomes, time.monotonic() - started)
    if outcomes:
        history.note(run.project, run.output, run.performer, "remove", outcomes, report.seconds)
    if outcomes and all(outcome.state == "absent" for outcome in outcomes):
        run.output.info(NOTHING)
    elif outcomes and not report.failed:
        report.tell(run.output)
    return report


def removal(run: Run, names: tuple[str, ...], *, keep_volumes: bool) -> tuple[dict[str, Host], Plan]:
    """Return the stacks that `remove` would remove now, and its plan. Changes nothing and runs no hook."""
    known = remembered(run.project, run.output).state
    targets = of_project(_candidates(run.stacks, known, names, run.project.config.service).items(), run.project, names)
    created = frozenset(run.stacks if run.project.config.provider.creates_hosts else ())
    return targets, plan_remove(targets, created, keep_volumes=keep_volumes)


def _destroy(
    project: Project,
    output: Output,
    provider: Provider,
    targets: Mapping[str, Host],
    outcomes: Iterable[StackResult],
) -> None:
    """Destroy the hosts of the removed stacks, and forget them."""
    states = {outcome.stack: outcome.state for outcome in outcomes if outcome.is_fine}
    if removed := tuple(stack for stack, state in states.items() if state == "removed"):
        provider.destroy(removed)
    if states:
        update(project, output, lambda state: state.removed((stack, targets[stack]) for stack in states))


def _candidates(stacks: Mapping[str, Host], known: State, names: tuple[str, ...], service: str) -> dict[str, Host]:
    """Return the stacks by name.

    Includes stacks whose hosts were being created when an earlier run ended, and named stacks whose hosts
    config/dev.yml no longer lists.
    """
    creating = {stack: Host(stack, "") for stack, _ in known.creating}
    named = {*names, *(f"{service}-{name}" for name in names)}
    behind = {item.stack: item.host for item in unlisted(known.hosts, stacks.items()) if item.stack in named}
    return {**creating, **behind, **stacks}


def _question(names: tuple[str, ...], keep_volumes: bool) -> str:
    fate = "volumes and workspaces are kept" if keep_volumes else "with all data, and the hosts created for them"
    return f"Remove {', '.join(names)} ({fate})?"


def _remove(project: Project, connections: HostConnections, target: Host, plan: StackPlan) -> StackResult:
    """Remove one stack on its host; the host itself is destroyed after all stacks are removed."""
    started, name = time.monotonic(), plan.stack
    operation, is_destroyed = plan.first(RemoveStack), plan.first(DestroyHost) is not None
    if operation is None:
        return StackResult(name, target.address, "removed" if is_destroyed else "absent")
    connections.output.start("removing", name, target)
    try:
        keep, by = operation.keep_volumes, connections.performer
        # A host that is destroyed next takes its images along.
        step = host.remove(connections.scripts, name, keep_volumes=keep, keep_images=is_destroyed, performer=by)
        outcome = in_turn(connections, target, name, lambda: _removal(connections, target, step))
        if not outcome and not (outcome.code == UNTOUCHED and project.config.provider.creates_hosts):
            raise HostError(
                target.name,
                f"{name} could not be removed: {outcome.reason}",
                hint=f"fix that, then run `dev remove {name}` again" if outcome.state == "incomplete" else "",
            )
    except DevError as error:
        connections.output.fail("removing", error, target)
        return failure(target, name, error)
    seconds = time.monotonic() - started
    # If the host is destroyed too, something is removed in any case.
    if not outcome.removed and not is_destroyed:
        connections.output.skip("removing", name, target, seconds=seconds)
        return StackResult(name, target.address, "absent", seconds=seconds)
    connections.output.done("removing", name, target, seconds=seconds)
    return StackResult(name, target.address, "removed", seconds=seconds)


def _removal(connections: HostConnections, target: Host, step: Step) -> events.ScriptResult:
    printer = EventPrinter(connections.output, target)
    return answers.outcome(ask(connections, target, step, timeout=REMOVING, on_line=printer).output)
