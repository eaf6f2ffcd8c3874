"""The story of `dev rollback`: roll stacks back to a release that their hosts still have."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.apply import failure, tell
from kamal_dev.pipeline.hosts.rolling_back import Reach, back
from kamal_dev.pipeline.images import local_registry, registry
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree, confirm_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.names import matching, restrict
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.versions import History, histories
from kamal_dev.plan.operation import RollBack
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.rollback import rollback as plan_rollback
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class RollbackOptions:
    """Hold the flags of `dev rollback`.

    `words` are stacks, by name or as globs, and one version, a release id or the beginning of one: a word that
    matches no stack. Without a version, it is the good release before the current one. `hosts` are further stacks;
    without stacks, all are meant.
    """

    words: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    skip_hooks: bool = False
    agree: Agree | None = None


def rollback(run: Run, order: RollbackOptions) -> Report:
    """Roll every chosen stack back in parallel.

    Raises UsageError, before anything is changed, if a stack has no such release. A failure on a host is part of the
    report and does not stop the other hosts.
    """
    started = time.monotonic()
    stacks = run.stacks
    targets, version = _meant(stacks, run.project.config.service, order)
    hooks = Hooks(run, "rollback", skip=order.skip_hooks, version=version)
    hooks.before("pre-connect", targets, left_behind="nothing was rolled back")
    all_histories = histories(run.connections, targets)
    plan = _planned(all_histories, version, stacks)
    changes = [item for item in plan.stacks if item.operations]
    if changes:
        names = ", ".join(item.stack for item in changes)
        confirm_plan(run.output, Plan(stacks=tuple(changes)), f"Roll back {names}?", order.agree)
    reach = _reach(run, changes)
    ended = each(
        changes,
        lambda change: _go(run.project, run.connections, hooks, targets[change.stack], _operation(change), reach),
        limit=run.connections.limit,
    )
    lost = [_lost(history, history.error) for history in all_histories if history.error]
    for unreached in lost:
        tell(run.output, unreached)
    outcomes = [*(item for item in ended if isinstance(item, StackResult)), *lost]
    outcomes.sort(key=lambda item: list(targets).index(item.stack))
    chosen = ", ".join(dict.fromkeys(_operation(change).version for change in changes))
    report = Report("Rolled back", chosen, tuple(outcomes), time.monotonic() - started)
    if outcomes:
        history.note(run.project, run.output, run.performer, "rollback", outcomes, report.seconds, version=chosen)
    if outcomes and not report.failed:
        report.tell(run.output)
    return replace(report, hook=hooks.after_rollback(outcomes, report.seconds))


def preview(run: Run, order: RollbackOptions) -> Plan:
    """Return what `rollback` would do now. Changes nothing and runs no hook. Raises UsageError like it."""
    stacks = run.stacks
    targets, version = _meant(stacks, run.project.config.service, order)
    return _planned(histories(run.connections, targets), version, stacks)


def _planned(all_histories: list[History], version: str, stacks: Mapping[str, Host]) -> Plan:
    return plan_rollback(all_histories, version, stacks=tuple(stacks))


def _lost(history: History, error: DevError) -> StackResult:
    """Return the outcome of a stack whose host did not say which releases it has."""
    if not history.host.address:
        again = f"`dev rollback {history.stack} VERSION` rolls back to a version of `dev versions`"
        error.hint = f"`dev deploy {history.stack}` starts the host first; then {again}"
    return failure(history.host, history.stack, error)


def _meant(stacks: Mapping[str, Host], service: str, order: RollbackOptions) -> tuple[dict[str, Host], str]:
    """Return the chosen stacks and the version."""
    versions = [word for word in order.words if word != service and not matching(stacks, word, service)]
    version = versions[-1] if versions else ""
    # If several words match no stack, all but the last were meant to be one.
    names = (*order.hosts, *(word for word in order.words if word != version))
    chosen = restrict(stacks, names, service) if names and service not in names else tuple(stacks)
    if not chosen:
        raise UsageError("there is no stack to roll back", hint="`dev deploy` creates one")
    return {name: stacks[name] for name in chosen}, version


def _operation(change: StackPlan) -> RollBack:
    operation = change.first(RollBack)
    assert operation
    return operation


def _reach(run: Run, changes: Iterable[StackPlan]) -> Reach | None:
    """Prepare the login and tunnel to pull missing images, if any. Raises CredentialsMissing, RegistryError."""
    if not any(_operation(change).missing for change in changes):
        return None
    if run.project.config.registry.is_local:
        local_registry.ensure(run.project, run.tools)
    return Reach(RegistryTunnel(run.project, run.output, run.remote, is_wanted=True), registry.credentials(run.project))


def _go(
    project: Project,
    connections: HostConnections,
    hooks: Hooks,
    target: Host,
    operation: RollBack,
    reach: Reach | None,
) -> StackResult:
    reach = reach if operation.missing else None
    current = operation.version if operation.same_version else ""
    connections.output.start("rolling_back", operation.target, target)
    ended = back(project, connections, target.name, target, operation.release, reach, current=current)
    ended = hooks.checked(ended, target, left_behind="the containers run this version")
    tell(connections.output, ended)
    return ended
