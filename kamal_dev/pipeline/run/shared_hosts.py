"""Ask the hosts that share stacks which ones they have. Each host is asked once, all in parallel; changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from types import MappingProxyType
from typing import Any

from kamal_dev.commands import survey as commands
from kamal_dev.commands.stacks import Survey
from kamal_dev.commands.survey import Question
from kamal_dev.errors import DevError, NoAnswer
from kamal_dev.model import Host
from kamal_dev.pipeline.run import names
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.plan.placement import HostContents, at, located
from kamal_dev.project import Project
from kamal_dev.project.state import CachedHost
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

Inventory = Mapping[str, HostContents]
NO_INVENTORY: Inventory = MappingProxyType({})
SURVEYING = 120.0


@dataclass(frozen=True)
class SurveyedHosts:
    """Hold what is on each host, and their answers about the stacks that were asked for, by the name of the host."""

    contents: tuple[HostContents, ...] = ()
    answers: Mapping[str, Survey] = field(default_factory=dict)

    @property
    def silent(self) -> tuple[HostContents, ...]:
        """The hosts that did not answer."""
        return tuple(item for item in self.contents if item.error)

    @property
    def answering(self) -> frozenset[str]:
        """The names of the hosts that answered."""
        return frozenset(self.answers)

    @property
    def manifests(self) -> dict[str, Mapping[str, Any]]:
        """The manifests that were asked for, by stack."""
        return {stack: manifest for answer in self.answers.values() for stack, manifest in answer.manifests.items()}

    def of(self, project: Project) -> dict[str, Host]:
        """Return the stacks of a project and their hosts."""
        named = {stack: owner for item in self.silent for stack, owner in (item.services or {}).items()}
        named |= dict(pair.partition(" ")[::2] for answer in self.answers.values() for pair in answer.named)
        # The name of a named stack can be that of a numbered one of another project: `blog-web-1`.
        return {
            stack: host
            for stack, host in located(self.contents).items()
            if (named[stack] == project.config.service if stack in named else names.is_numbered(project, stack))
        }


def survey(
    connections: HostConnections,
    machines: Iterable[Host],
    questions: Iterable[Question] = (),
    *,
    is_deep: bool = False,
    described: str = "",
    inventory: Inventory = NO_INVENTORY,
) -> SurveyedHosts:
    """Return what is on each host; a host that does not answer has an error.

    `is_deep` and `described`: `commands.survey`.
    `inventory` is what the provider knows: a host that is down according to it is not asked.
    """
    machines, step = (
        tuple(machines),
        commands.survey(connections.scripts, questions, is_deep=is_deep, described=described),
    )
    known = {machine.name: inventory.get(machine.name, HostContents(machine)) for machine in machines}

    def one(machine: Host) -> Survey:
        if error := known[machine.name].error:
            raise error
        with connections.budget.counting(machine.name):
            ended = connections.remote(machine).run(step, timeout=SURVEYING)
        answer = commands.surveyed(ended.output)
        if answer is None:
            raise NoAnswer(machine.name, f"the host did not list its stacks: {ended.tail(3)}")
        return answer

    answers = dict(zip(machines, each(machines, one, limit=connections.limit), strict=True))
    answering = {machine.name: answer for machine, answer in answers.items() if isinstance(answer, Survey)}
    return SurveyedHosts(tuple(_contents(known[host.name], answer) for host, answer in answers.items()), answering)


def _contents(known: HostContents, answer: Survey | DevError) -> HostContents:
    if isinstance(answer, DevError):
        return replace(known, error=answer)
    memory, cpus = known.memory or answer.memory, known.cpus or answer.cpus
    return HostContents(
        known.host,
        answer.stacks,
        memory,
        cpus,
        answer.disk_free,
        closed=known.closed,
        leaving=answer.leaving,
        aliases=known.aliases,
    )


def remembered_on(machines: Iterable[Host], known: Iterable[CachedHost]) -> dict[str, Host]:
    """Return the stacks that were on these hosts, as this machine remembers."""
    known = tuple(known)
    return {
        item.stack: at(machine, item.stack)
        for machine in machines
        for item in known
        if not item.is_created and item.is_at(item.stack, machine)
    }
