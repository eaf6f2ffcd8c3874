"""The story of `dev move`: carry a stack to another host, start it there, and only then remove it from the old one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from kamal_dev.commands import answers, host
from kamal_dev.commands.facts import Facts
from kamal_dev.commands.host import Login
from kamal_dev.commands.stacks import Inventory
from kamal_dev.errors import ConfigError, DevError, NoAnswer, UsageError
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.apply import explain
from kamal_dev.pipeline.hosts.moving import MEASURING, StackMove, inventory
from kamal_dev.pipeline.hosts.placing import rules
from kamal_dev.pipeline.hosts.scripts import ASKED, ask
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.hosts.undoing import removed
from kamal_dev.pipeline.images import registry
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree, confirm_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.record import update
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.shared_hosts import SurveyedHosts, remembered_on, survey
from kamal_dev.plan.placement import HostContents, at
from kamal_dev.plan.plan import Plan
from kamal_dev.plan.relocation import relocation
from kamal_dev.project import Project, state
from kamal_dev.project.state import CachedHost
from kamal_dev.providers import Provider
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

SHARE = "set `placement.per_host` to 2 or more; `dev backup` and `dev restore` copy data between other stacks"
DRAIN = "`docker node update --availability drain NODE` on a manager moves its services to other nodes"


@dataclass(frozen=True)
class PlannedMove:
    """Hold a move before it begins; without a `move`, the stack is on that host already.

    `behind` are the hosts that have remains of an earlier move.
    """

    stack: str
    host: Host
    plan: Plan
    surveyed: SurveyedHosts
    move: StackMove | None = None
    behind: tuple[Host, ...] = ()

    @property
    def unchanged(self) -> str:
        """What to say if the stack is on that host already."""
        return f"{self.stack} is already on {self.host.address}"


def planned(project: Project, connections: HostConnections, provider: Provider, name: str, to: str) -> PlannedMove:
    """Ask both hosts whether the stack can move, and return the plan. Changes nothing.

    Raises UsageError for a stack or a host that does not exist, and the error of the plan.
    """
    if project.engine.is_swarm:
        raise UsageError("`dev move` does not work with `engine: swarm-stack`", hint=DRAIN)
    machines, listed = provider.machines(), provider.inventory()
    if not machines:
        raise UsageError("`dev move` needs hosts that share stacks", hint=SHARE)
    destination = next((item for item in machines if to in listed.get(item.name, HostContents(item)).names), None)
    if destination is None:
        known = ", ".join(machine.name for machine in machines)
        raise UsageError(f"`{to}` is none of the hosts", hint=f"use {known}")
    surveyed = survey(connections, machines, inventory=listed)
    stacks = {**_remembered(project, surveyed), **surveyed.of(project)}
    stack, source = running(stacks, name, project.config.service)
    behind = tuple(_behind(surveyed, stack, source))
    if at(destination, stack) == source:
        return PlannedMove(stack, source, Plan(), surveyed, behind=behind)
    contents = next(item for item in surveyed.contents if item.host == destination)
    contained = inventory(connections, source, stack)
    facts = _facts(connections, (source, destination), stack, contained)
    plan = relocation(stack, source, contents, contained, facts, rules(project.config.placement))
    tunnel = RegistryTunnel(project, connections.output, connections.remote, is_wanted=True)
    moving = StackMove(project, connections, stack, source, destination, contained, facts, tunnel, _login(project))
    return PlannedMove(stack, source, plan, surveyed, moving, behind)


def move(
    project: Project,
    connections: HostConnections,
    provider: Provider,
    hooks: Hooks,
    name: str,
    to: str,
    agree: Agree | None,
) -> Report:
    """Move a stack as planned; asks first, as `deploy.confirm` says. A failure leaves it on the old host."""
    began, wanted = time.monotonic(), planned(project, connections, provider, name, to)
    moving, output = wanted.move, connections.output
    if moving is None:
        return _unmoved(project, connections, wanted)
    if error := wanted.plan.stacks[0].error:
        raise error
    question = "" if project.config.deploy.confirm == "never" else f"Move {wanted.stack} to {to}, stopping it?"
    confirm_plan(output, wanted.plan, question, agree)
    hooks.before("pre-connect", {wanted.stack: wanted.host}, left_behind="nothing was moved")
    result = _moved(moving, hooks)
    new = at(moving.destination, wanted.stack)
    if result.is_fine:
        _remember(project, output, moving, new)
        result = _forgotten(moving, result)
    if result.error:
        output.fail("moving", result.error, wanted.host, log=explain(result))
    seconds = time.monotonic() - began
    history.note(project, output, connections.performer, "move", (result,), seconds)
    if result.is_fine:
        provider.record({**wanted.surveyed.of(project), wanted.stack: new}, wanted.surveyed.answering)
    report = Report("Moved", moving.inventory.version, (replace(result, seconds=seconds),), seconds, plan=wanted.plan)
    if not report.failed:
        report.tell(output)
    return report


def _unmoved(project: Project, connections: HostConnections, wanted: PlannedMove) -> Report:
    """Remove what an earlier move has left behind of a stack that is on its host already."""
    for machine in wanted.behind:
        removed(connections, machine, wanted.stack)
        connections.output.info(f"Removed what an earlier move has left on {machine.name}", wanted.host)
    result = StackResult(wanted.stack, wanted.host.address, "unchanged")
    connections.output.info(wanted.unchanged, wanted.host)
    return Report("Moved", str(project.version), (result,), plan=wanted.plan)


def _moved(moving: StackMove, hooks: Hooks) -> StackResult:
    version = moving.inventory.version
    try:
        return moving.run(lambda new: hooks.health(moving.stack, new, left_behind="", version=version))
    except DevError as error:
        return StackResult(moving.stack, moving.source.address, "failed", error=error)


def _forgotten(moving: StackMove, result: StackResult) -> StackResult:
    """Remove the stack from the old host; a failure is part of the result."""
    try:
        moving.forget_source()
    except DevError as error:
        error.left_behind = "it runs on the new host, and its old data is on the old one"
        error.hint = f"`dev move {moving.stack} --to {moving.destination.name}` removes it"
        return replace(result, state="failed", error=error)
    return result


def _remember(project: Project, output: Output, moving: StackMove, new: Host) -> None:
    reached = CachedHost.of(moving.stack, new, project.config.provider.type)
    old = (moving.stack, moving.source)
    update(project, output, lambda state: state.removed((old,)).ended((reached,), ()))


def _remembered(project: Project, surveyed: SurveyedHosts) -> dict[str, Host]:
    """Return the stacks that may be on the hosts that do not answer."""
    return remembered_on((item.host for item in surveyed.silent), state.read(project.private()).state.hosts)


def _behind(surveyed: SurveyedHosts, stack: str, source: Host) -> Iterator[Host]:
    for item in surveyed.contents:
        if stack in item.leaving and at(item.host, stack) != source:
            yield item.host


def _facts(
    connections: HostConnections, hosts: tuple[Host, Host], stack: str, inventory: Inventory
) -> tuple[Facts, Facts]:
    """Ask both hosts for their facts, and the images that they have."""
    step = host.facts(connections.scripts, stack, inventory.images)

    def one(target: Host) -> Facts:
        facts = answers.facts(ask(connections, target, step, timeout=MEASURING).output)
        if facts is None:
            raise NoAnswer(target.name, "could not inspect the host", hint=ASKED)
        return facts

    before, after = each(hosts, one, limit=2)
    for answer in (before, after):
        if isinstance(answer, DevError):
            raise answer
    assert isinstance(before, Facts)
    assert isinstance(after, Facts)
    return before, after


def _login(project: Project) -> Login | None:
    """Return the login of the registry, if its password is set here: only images that the new host lacks need it."""
    try:
        return registry.credentials(project)
    except ConfigError:
        return None
