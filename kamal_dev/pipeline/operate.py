"""The story of `dev stop`, `start`, `restart` and `scale`: Compose's verbs for chosen stacks and services."""

from __future__ import annotations

import time
from collections.abc import Mapping

from kamal_dev.errors import UsageError
from kamal_dev.model import Host
from kamal_dev.output.event import Phase
from kamal_dev.pipeline.hosts.apply import explain
from kamal_dev.pipeline.hosts.operating import PAST, operated
from kamal_dev.pipeline.hosts.stack_projects import Projects, chosen, having
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree, confirm_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.service_change import ServiceOperation, plan_services
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

_PHASES: dict[str, Phase] = {"stop": "stopping", "start": "starting", "restart": "restarting", "scale": "scaling"}


@dataclass(frozen=True)
class ServiceChange:
    """Hold what is done with which services of which stacks; `is_named` means that the user named the stacks."""

    verb: str
    stacks: Mapping[str, Host]
    services: tuple[str, ...] = ()
    is_named: bool = True

    @property
    def plan(self) -> Plan:
        """The plan for all stacks."""
        return plan_services(self.stacks, self.verb, self.services)


def change_of(
    project: Project,
    known: Projects,
    stacks: Mapping[str, Host],
    verb: str,
    words: tuple[str, ...],
    services: tuple[str, ...] = (),
) -> ServiceChange:
    """Return the change that `words`, names of stacks and services, ask for; `known` are the projects of the stacks.

    Without names, it is for all stacks that have the services. Raises UsageError for other words.
    """
    selection = chosen(project, known, words, services)
    if not stacks:
        raise UsageError("there is no stack", hint="`dev deploy` creates one")
    names = selection.stacks or having(known, selection.services)
    is_named = bool(selection.stacks)
    return ServiceChange(verb, {name: stacks[name] for name in names}, selection.services, is_named)


def scale_of(project: Project, known: Projects, stacks: Mapping[str, Host], words: tuple[str, ...]) -> ServiceChange:
    """Return the change for `NAME... SERVICE=N...`. Raises UsageError for other words, and for the main service."""
    counts = tuple(word for word in words if "=" in word)
    if not counts:
        raise UsageError("no number of containers is given", hint="dev scale guestbook-1 worker=3")
    services = tuple(word.partition("=")[0] for word in counts)
    change = change_of(project, known, stacks, "scale", tuple(word for word in words if "=" not in word), services)
    for word in counts:
        service, _, count = word.partition("=")
        if not count.isdecimal():
            raise UsageError(f"`{word}`: the number of containers must be a whole number")
        if any(service == known[name].main for name in change.stacks):
            raise UsageError(f"the main service `{service}` always has one container")
    if lacking := [service for service in change.services if service not in services]:
        raise UsageError(f"`{lacking[0]}` has no number", hint=f"`{lacking[0]}=2`")
    return ServiceChange("scale", change.stacks, counts, change.is_named)


def operate(
    project: Project, connections: HostConnections, hooks: Hooks, change: ServiceChange, agree: Agree
) -> Report:
    """Carry it out in all stacks in parallel; asks first if the user named none. Raises Declined."""
    began, plan, output = time.monotonic(), change.plan, connections.output
    names = ", ".join(change.stacks)
    confirm_plan(output, plan, "" if change.is_named else f"{change.verb.capitalize()} {names}?", agree)
    ended = each(
        plan.stacks, lambda item: _of_stack(project, connections, hooks, change, item), limit=connections.limit
    )
    results = tuple(result for result in ended if isinstance(result, StackResult))
    seconds = time.monotonic() - began
    report = Report(PAST[change.verb].capitalize(), "", results, seconds, plan=plan, services=change.services)
    history.note(project, output, connections.performer, change.verb, results, report.seconds)
    if not report.failed:
        report.tell(output)
    return report


def _of_stack(
    project: Project, connections: HostConnections, hooks: Hooks, change: ServiceChange, item: StackPlan
) -> StackResult:
    target, operation = change.stacks[item.stack], item.first(ServiceOperation)
    if operation is None:
        result = StackResult(item.stack, item.address, "failed", error=item.error)
    else:
        result = operated(project, connections, item.stack, target, operation.script_verb, operation.services)
        if change.verb != "stop":
            result = hooks.checked(result, target, left_behind="its containers are running")
    if result.error:
        connections.output.fail(_PHASES[change.verb], result.error, target, log=explain(result))
    return result
