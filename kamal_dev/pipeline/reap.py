"""The story of `dev reap`: remove the stacks that are over, and destroy hosts that nobody needs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from kamal_dev.commands import answers
from kamal_dev.commands import expiry as commands
from kamal_dev.errors import DevError, HostUnreachable
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.apply import failure
from kamal_dev.pipeline.hosts.removing import destroy_hosts, remove_stack
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.named import NamedStacks
from kamal_dev.pipeline.remove import created_hosts, destroy_empty
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree, confirm_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.shared_hosts import survey
from kamal_dev.pipeline.status import StackStatus, stacks
from kamal_dev.plan.expired import KEPT, OVER, ReapCandidate
from kamal_dev.plan.expired import reap as plan_reap
from kamal_dev.plan.operation import DestroyHost, Operation, RemoveStack, StopStack
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each

ASKING = 120.0
NOTHING = "Nothing to remove"


def reap(run: Run, names: tuple[str, ...], *, force: bool, agree: Agree | None) -> Report:
    """Remove the stacks of this project that are over, or those of them that match `names`.

    A stack with work that exists nowhere else is only stopped, unless with `force`. Hosts that the provider created are
    destroyed with their stacks, and those without one.
    """
    started = time.monotonic()
    targets, plan = reaping(run, names, force=force)
    for item in plan.blocked:
        if item.error:
            run.output.fail("removing", item.error, targets[item.stack])
    _tell_kept(run.output, plan)
    changes = Plan(stacks=tuple(item for item in plan.stacks if item.operations))
    if not changes.is_empty:
        confirm_plan(run.output, changes, _question(changes), agree)
    carry_out = partial(_carry_out, run.project, run.connections, targets, force)
    ended = each(changes.stacks, carry_out, limit=run.connections.limit)
    outcomes = tuple(outcome for outcome in ended if isinstance(outcome, StackResult))
    destroy_hosts(run.project, run.output, run.provider, targets, outcomes)
    removed = tuple(outcome.stack for outcome in outcomes if outcome.state == "removed")
    NamedStacks(run).forget(removed)
    destroy_empty(run, [targets[stack] for stack in removed])
    if outcomes:
        history.note(run.project, run.output, run.performer, "reap", outcomes, time.monotonic() - started)
    all_outcomes = (*outcomes, *_others(plan, targets))
    report = Report("Reaped", str(run.project.version), all_outcomes, time.monotonic() - started, plan=plan)
    if removed and not report.failed:
        report.tell(run.output)
    elif not report.failed:
        run.output.info(NOTHING)
    return report


def reaping(run: Run, names: tuple[str, ...], *, force: bool) -> tuple[dict[str, Host], Plan]:
    """Return the stacks and hosts that `reap` looks at, and its plan. Changes nothing."""
    creates_own = run.project.config.provider.creates_hosts and not run.provider.machines()
    look = partial(_candidate, run.connections, creates_own, force)
    answered = each(stacks(run, names), look, limit=run.connections.limit)
    candidates = [candidate for candidate in answered if isinstance(candidate, ReapCandidate)]
    over = {candidate.stack: candidate.host for candidate in candidates if candidate.state == OVER}
    created = created_hosts(run, over)
    candidates = [replace(candidate, created=created.get(candidate.stack)) for candidate in candidates]
    candidates += [] if names else _empty_machines(run)
    return {candidate.stack: candidate.host for candidate in candidates}, plan_reap(candidates)


def _empty_machines(run: Run) -> list[ReapCandidate]:
    """Return the hosts without stacks, if stacks share hosts that the provider creates."""
    creates_hosts = run.project.config.provider.creates_hosts
    machines = [machine for machine in run.provider.machines() if machine.address and creates_hosts]
    surveyed = survey(run.connections, machines).contents if machines else ()
    empty = [item.host for item in surveyed if not item.error and not item.stacks]
    # No stack has the name of the service alone.
    ask = partial(_asked, run.connections, run.project.config.service, force=False)
    unused = (ReapCandidate(machine.name, machine, KEPT, created=machine.name) for machine in empty)
    return [ask(candidate) for candidate in unused]


def _candidate(connections: HostConnections, creates_own: bool, force: bool, status: StackStatus) -> ReapCandidate:
    """Return what is known of a stack; its host is only asked if it may be over."""
    name, target, lifetime = status.name, status.host, status.lifetime
    known = ReapCandidate(name, target, KEPT, _why_kept(status), lifetime)
    if not status.is_known:
        return replace(known, error=HostUnreachable(target.name, status.reason))
    is_unused = status.state == "absent" and creates_own
    if not is_unused and not (lifetime and lifetime.is_over):
        return known
    return _asked(connections, name, known, force=force)


def _asked(connections: HostConnections, stack: str, known: ReapCandidate, *, force: bool) -> ReapCandidate:
    try:
        step = commands.look(connections.scripts, stack, force=force)
        answer = answers.outcome(output_of(connections, known.host, step, timeout=ASKING))
    except DevError as error:
        return replace(known, error=error)
    return replace(known, state=answer.state, reason=answer.reason)


def _why_kept(status: StackStatus) -> str:
    """Return why a stack is not over, as far as its status says."""
    if status.state == "off":
        return "its host is switched off"
    if status.state == "absent":
        return "it has no stack"
    if status.lifetime is None or not status.lifetime.is_limited:
        return "no limit"
    return f"{status.lifetime} left"


def _carry_out(
    project: Project, connections: HostConnections, targets: Mapping[str, Host], force: bool, plan: StackPlan
) -> StackResult:
    modes = {RemoveStack: commands.ENDED if force else commands.UNLESS_WORK, StopStack: commands.STOP}
    mode = modes.get(type(plan.operations[0]), commands.UNUSED)
    restarts, by = project.config.deploy.restarts, connections.performer
    destroyed = plan.first(DestroyHost)
    is_machine = destroyed is not None and destroyed.host == plan.stack
    stack = project.config.service if is_machine else plan.stack
    step = commands.reap(connections.scripts, stack, mode, restarts=restarts, performer=by)
    return remove_stack(project, connections, targets[plan.stack], plan, step)


def _tell_kept(output: Output, plan: Plan) -> None:
    for item in plan.stacks:
        if item.notes and not item.operations:
            output.warn(f"{item.stack} is kept: {item.reason}", item.stack, phase="removing", hint=item.notes[0])


def _question(plan: Plan) -> str:
    """Return the question about everything that is lost."""
    removed, stopped = (_with(plan, kind) for kind in (RemoveStack, StopStack))
    destroyed = ((item.stack, item.first(DestroyHost)) for item in plan.stacks)
    hosts = [operation.host or stack for stack, operation in destroyed if operation]
    parts = [f"remove {', '.join(removed)} with all data"] if removed else []
    parts += [f"destroy host{'s' * (len(hosts) > 1)} {', '.join(hosts)}"] if hosts else []
    parts += [f"stop {', '.join(stopped)}"] if stopped else []
    text = ", ".join(parts)
    return f"{text[:1].upper()}{text[1:]}?"


def _with(plan: Plan, kind: type[Operation]) -> list[str]:
    return [item.stack for item in plan.stacks if item.first(kind)]


def _others(plan: Plan, targets: Mapping[str, Host]) -> list[StackResult]:
    """Return the outcomes without an operation: hosts that did not answer, and stacks whose work was kept."""
    silent = [failure(targets[item.stack], item.stack, item.error) for item in plan.blocked if item.error]
    worked = (item for item in plan.stacks if item.notes and not item.operations)
    return silent + [StackResult(item.stack, item.address, "kept") for item in worked]
