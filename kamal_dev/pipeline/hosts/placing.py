"""Place stacks on hosts that share them: ask each host once, decide, and claim the names of new stacks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from zlib import crc32

from kamal_dev.commands import host as commands
from kamal_dev.commands import survey as surveys
from kamal_dev.commands.payload import Scripts
from kamal_dev.commands.stacks import Survey
from kamal_dev.config.distribution import PACK, PlacementConfig
from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Host, Release, Step
from kamal_dev.pipeline.hosts.observe import observation_of, question
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.shared_hosts import NO_INVENTORY, Inventory, SurveyedHosts, survey
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.placement import HostContents, Placement, PlacementRules, at, place, size
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

CLAIMING = 60.0


@dataclass(frozen=True)
class PlacedStacks:
    """Hold where stacks are, what the hosts said of those that they have already, and what is on all hosts."""

    placement: Placement = field(default_factory=Placement)
    observed: Mapping[str, Observation] = field(default_factory=dict)
    surveyed: SurveyedHosts = field(default_factory=SurveyedHosts)


def placed(
    connections: HostConnections,
    machines: tuple[Host, ...],
    config: PlacementConfig,
    releases: Mapping[str, Release],
    *,
    on: str = "",
    is_deep: bool = False,
    inventory: Inventory = NO_INVENTORY,
    creatable: Iterable[HostContents] = (),
) -> PlacedStacks:
    """Return the host of each stack; `on` is the host for new ones. Asks each host once, and changes nothing.

    Raises UsageError if `on` is none of the hosts.
    """
    listed = [inventory.get(machine.name, HostContents(machine)) for machine in machines]
    if on and not any(on in item.names for item in listed):
        known = ", ".join(machine.name for machine in machines)
        raise UsageError(
            f"`{on}` is none of the hosts", hint=f"use {known}" if known else "omit `--on`: no host exists yet"
        )
    questions = [commands.question(*question(release)) for release in releases.values()]
    surveyed = survey(connections, machines, questions, is_deep=is_deep, inventory=inventory)
    placement = place(releases, surveyed.contents, rules(config), on=on, creatable=creatable)
    observed = {name: Observation(name, error=error) for name, error in placement.errors.items()}
    for item in surveyed.contents:
        answer = surveyed.answers.get(item.host.name, Survey())
        for name, facts in answer.facts.items():
            # Of a stack that is on two hosts, one is used.
            if (host := placement.hosts.get(name)) == at(item.host, name):
                observed[name] = observation_of(name, host, facts, answer.contents[name])
    return PlacedStacks(placement, observed, surveyed)


def rules(config: PlacementConfig) -> PlacementRules:
    """Return the rules in `placement` of config/dev.yml."""
    require = config.require
    cpus = float(require.cpus or 0)
    return PlacementRules(config.per_host, config.by == PACK, size(require.memory), cpus, size(require.disk))


def claim(
    connections: HostConnections, machines: tuple[Host, ...], hosts: Mapping[str, Host], registrar: Host | None = None
) -> tuple[dict[str, Host], dict[str, DevError]]:
    """Claim the names of new stacks, each at the home of its name, or all at the registrar.

    Returns the stacks that another deploy is creating on another host, with that host, and why names could not be
    claimed.
    """
    homes = _homes(machines, hosts, registrar)
    steps = claim_steps(connections.scripts, machines, hosts, registrar)

    def one(home: Host) -> dict[str, str]:
        return surveys.claimed(output_of(connections, home, steps[home], timeout=CLAIMING))

    named = {machine.name: machine for machine in machines}
    moved: dict[str, Host] = {}
    errors: dict[str, DevError] = {}
    for home, answer in zip(homes, each(homes, one, limit=connections.limit), strict=True):
        if isinstance(answer, DevError):
            errors |= dict.fromkeys(homes[home], answer)
            continue
        for name, owner in answer.items():
            if owner in named and at(named[owner], name) != hosts[name]:
                moved[name] = at(named[owner], name)
    return moved, errors


def claim_steps(
    scripts: Scripts, machines: tuple[Host, ...], hosts: Mapping[str, Host], registrar: Host | None = None
) -> dict[Host, Step]:
    """Return the step that claims names on each host that keeps some."""
    by_place = {at(machine, ""): machine for machine in machines}
    return {
        home: surveys.claim(scripts, {name: by_place[at(hosts[name], "")].name for name in names})
        for home, names in _homes(machines, hosts, registrar).items()
    }


def _homes(machines: tuple[Host, ...], names: Iterable[str], registrar: Host | None) -> dict[Host, list[str]]:
    """Return the names that each host keeps the claims of."""
    homes: dict[Host, list[str]] = {}
    for name in names:
        homes.setdefault(registrar or machines[crc32(name.encode()) % len(machines)], []).append(name)
    return homes


def give_up_claims(
    connections: HostConnections, machines: tuple[Host, ...], hosts: Mapping[str, Host], registrar: Host | None = None
) -> None:
    """Give up the claims of stacks that are removed next, so that a new one with the same name can get another host.

    While they exist, deploys find them. Hosts that have the claims of their own stacks give them up by themselves; one
    that does not answer keeps a claim for an hour.
    """
    others = [name for name, host in hosts.items() if host.address]
    homes = {
        home: away
        for home, names in _homes(machines, others, registrar).items()
        if (away := [name for name in names if at(home, "") != at(hosts[name], "")])
    }

    def one(home: Host) -> None:
        step = surveys.claim(connections.scripts, dict.fromkeys(homes[home], ""))
        output_of(connections, home, step, timeout=CLAIMING)

    each(homes, one, limit=connections.limit)
