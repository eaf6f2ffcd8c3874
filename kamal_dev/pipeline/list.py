"""The story of `dev list`: the stacks of the provider and the hosts, and those that only this machine remembers."""

from __future__ import annotations

from collections.abc import Iterable

from kamal_dev.model import Host, short
from kamal_dev.output import Output
from kamal_dev.pipeline.run.record import listed_places, remembered, unlisted, update
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.status import StackStatus, look, overview
from kamal_dev.plan.placement import at
from kamal_dev.project import HERE, Project
from kamal_dev.project.state import CachedHost, HostsByStack, State

OPTIONAL = ("REF", "LEFT", "PORTS")
NOT_THERE = ("absent", "off", "unreachable", "unknown")
Hosts = tuple[tuple[str, Host], ...]


def listed(run: Run) -> list[StackStatus]:
    """Return every stack, then the stacks on hosts that config/dev.yml no longer lists.

    Updates the local state with the answers of the provider and the hosts.
    """
    read = remembered(run.project, run.output)
    known = read.state
    statuses = overview(run)
    hosts = tuple((stack.name, stack.host) for stack in statuses)
    no_longer_listed = unlisted(known.hosts, listed_places(run.provider.machines(), known.hosts) or hosts)
    asked = look(run.connections, [(item.stack, item.host) for item in no_longer_listed])
    behind = {item: stack for item, stack in zip(no_longer_listed, asked, strict=True) if stack.state != "absent"}
    _tell(run.project, run.output, known, hosts, behind)
    provider = run.project.config.provider.type
    standing = [CachedHost.of(stack.name, stack.host, provider) for stack in statuses if stack.state not in NOT_THERE]
    over = {*no_longer_listed} - {*behind} | _over(known, statuses, provider)
    over |= _moved(known, statuses, run.provider.machines())
    update(run.project, run.output, lambda state: state.ended(standing, ()).without(over), read)
    return [*statuses, *behind.values()]


def lines(stacks: Iterable[StackStatus]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the head and the rows of the table.

    References of named stacks, what is left of lifetimes, and ports that stacks got of their host, have a column if
    there are any.
    """
    stacks = tuple(stacks)
    columns: dict[str, list[str]] = {
        "STACK": [stack.name for stack in stacks],
        "HOST": [stack.host.own_name for stack in stacks],
        "ADDRESS": [stack.address for stack in stacks],
        "REF": [_ref(stack) for stack in stacks] if any(stack.ref for stack in stacks) else [],
        "VERSION": [short(stack.version) or "-" for stack in stacks],
        "STATE": [_state(stack) for stack in stacks],
        "LEFT": [str(stack.lifetime or "-") for stack in stacks] if any(stack.lifetime for stack in stacks) else [],
        "PORTS": [_ports(stack) for stack in stacks] if any(stack.ports for stack in stacks) else [],
    }
    shown = {name: column for name, column in columns.items() if column or name not in OPTIONAL}
    return tuple(shown), list(zip(*shown.values(), strict=True))


def _state(stack: StackStatus) -> str:
    """Return the state; an unknown one, and one that is due to the lifetime, say why."""
    if stack.lifetime and stack.lifetime.ended and stack.state == "stopped":
        return f"stopped ({stack.lifetime.why})"
    return stack.state if stack.is_known else f"{stack.state}: {stack.reason}"


def _ref(stack: StackStatus) -> str:
    return "working tree" if stack.ref == HERE else short(stack.ref) or "-"


def _ports(stack: StackStatus) -> str:
    """Return `20001->app:80` for each port of the host."""
    targets = ((name.split(":"), port) for name, port in stack.ports.items())
    return ", ".join(f"{port}->{parts[0]}:{parts[-1].removesuffix('/tcp')}" for parts, port in targets) or "-"


def _over(known: State, statuses: Iterable[StackStatus], provider: str) -> set[CachedHost]:
    """Return the remembered stacks that their host or its provider says are gone."""
    statuses = tuple(statuses)
    absent = HostsByStack((stack.name, stack.host) for stack in statuses if stack.state == "absent")
    names = {stack.name for stack in statuses}
    return {
        item
        for item in known.hosts
        if absent.has(item) or (item.is_created and item.provider == provider and item.stack not in names)
    }


def _moved(known: State, statuses: Iterable[StackStatus], machines: Iterable[Host]) -> set[CachedHost]:
    """Return the remembered stacks that are no longer on a host that shares stacks and answers."""
    statuses = tuple(statuses)
    silent = [stack.host for stack in statuses if not stack.is_known]
    places = HostsByStack((stack.name, stack.host) for stack in statuses)
    answering = [machine for machine in machines if not any(at(machine, host.name) == host for host in silent)]
    return {
        item
        for item in known.hosts
        if any(item.is_at(item.stack, machine) for machine in answering) and not places.has(item)
    }


def _tell(project: Project, output: Output, known: State, hosts: Hosts, behind: dict[CachedHost, StackStatus]) -> None:
    """Warn about leftover hosts, which may cost money, and say what to do about them."""
    names = {name for name, _ in hosts}
    for name, since in known.creating:
        state = "it exists" if name in names else "it does not exist (yet)"
        output.warn(
            f"creation of the host for {name} did not finish (started {since}), {state}: "
            f"`dev deploy` finishes it, `dev remove {name}` destroys it"
        )
    for item, stack in behind.items():
        does = "does not answer" if not stack.is_known else f"still has {item.stack}"
        advice = f"`dev remove {item.stack}` removes it" if item.stack not in names else RELIST
        output.warn(f"{item.address} is no longer in {project.config.provider.listed_in}, but {does}: {advice}")
    for item in known.hosts:
        if item.provider != project.config.provider.type:
            output.warn(
                f"{item.stack} was deployed to a host of the provider `{item.provider}`, which is not the current one: "
                "set `provider.type` to it to list or remove the host"
            )


RELIST = "add it to the list at its old position and run `dev remove`; another host has its name now"
