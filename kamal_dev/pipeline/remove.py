"""The story of `dev remove`: stop stacks, then destroy the hosts that the provider created."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from kamal_dev.commands import host
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.placing import give_up_claims
from kamal_dev.pipeline.hosts.removing import destroy_hosts, remove_stack
from kamal_dev.pipeline.named import NamedStacks
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree, confirm_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.names import of_project
from kamal_dev.pipeline.run.record import remembered, unlisted
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.shared_hosts import survey
from kamal_dev.plan.operation import DestroyHost, RemoveStack
from kamal_dev.plan.placement import at
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.remove import remove as plan_remove
from kamal_dev.project import Project
from kamal_dev.project.state import State
from kamal_dev.shell.fanout import each

NOTHING = "Nothing to remove"


def remove(
    run: Run, names: tuple[str, ...], *, keep_volumes: bool, agree: Agree | None, skip_hooks: bool = False
) -> Report:
    """Remove every stack of this project, or those that match `names`.

    With `keep_volumes`, only the containers are removed; volumes, workspaces and hosts stay. A host whose stack could
    not be removed is not destroyed, unless it is switched off.
    """
    started = time.monotonic()
    run.start_machines()
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
        destroy_hosts(run.project, run.output, run.provider, targets, outcomes)
        NamedStacks(run).forget(outcome.stack for outcome in outcomes if outcome.is_fine)
        destroy_empty(run, targets.values() if names else run.provider.machines())
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
    return targets, plan_remove(targets, created_hosts(run, targets), keep_volumes=keep_volumes)


def created_hosts(run: Run, targets: Mapping[str, Host]) -> dict[str, str]:
    """Return the stacks with which hosts are destroyed: of stacks that share a host, the last one."""
    if not run.project.config.provider.creates_hosts:
        return {}
    machines = {at(machine, ""): machine.name for machine in run.provider.machines()}
    if not machines:
        return dict.fromkeys(run.stacks, "")
    kept = {at(host, "") for stack, host in run.stacks.items() if stack not in targets}
    last = {at(host, ""): stack for stack, host in targets.items()}
    return {stack: machines[host] for host, stack in last.items() if host in machines and host not in kept}


def destroy_empty(run: Run, hosts: Iterable[Host]) -> None:
    """Destroy those of these hosts that have no stack any longer, if stacks share them and a provider created them."""
    machines = run.provider.machines() if run.project.config.provider.creates_hosts else ()
    places = {at(host, "") for host in hosts}
    if asked := [machine for machine in machines if machine.address and at(machine, "") in places]:
        surveyed = survey(run.connections, asked)
        empty = tuple(item.host.name for item in surveyed.contents if not item.error and not item.stacks)
        run.provider.destroy(empty)


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
    """Remove one stack on its host, unless the host is switched off."""
    operation = plan.first(RemoveStack)
    if operation is None:
        return StackResult(plan.stack, target.address, "removed" if plan.first(DestroyHost) else "absent")
    keep, by = operation.keep_volumes, connections.performer
    # A host that is destroyed next takes its images along.
    is_destroyed = plan.first(DestroyHost) is not None
    step = host.remove(connections.scripts, plan.stack, keep_volumes=keep, keep_images=is_destroyed, performer=by)
    return remove_stack(project, connections, target, plan, step)
