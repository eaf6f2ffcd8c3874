"""Decide which host each stack runs on, from what is on the hosts. Nothing moves: a stack stays where it is found."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace

from kamal_dev.errors import DevError, NoAnswer, ProviderError
from kamal_dev.model import Host
from kamal_dev.values import dataclass

MOVE = "raise `placement.per_host`, or add hosts"
LOWER = "lower `placement.require`, or raise the sizes in `provider`"
COME_BACK = "start the host, or remove it for good and deploy again"
SHOWN = 8  # hosts in a message


@dataclass(frozen=True)
class HostContents:
    """Hold what is on a host: its stacks, those of other projects included, and its size; sizes are bytes.

    `error` is why it did not answer; what is on it is then unknown, unless the provider knows the services of its
    stacks. `closed` is why it takes no new stacks; `aliases` are other names of it.
    `leaving` are the stacks that are being moved to another host, or were.
    """

    host: Host
    stacks: tuple[str, ...] = ()
    memory: int = 0
    cpus: float = 0
    disk_free: int = 0
    error: DevError | None = None
    closed: str = ""
    leaving: tuple[str, ...] = ()
    services: Mapping[str, str] | None = None
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the host is called on the command line."""
        return (self.host.name, self.host.address, *self.aliases)

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows what is on the host."""
        return self.error is not None and self.services is None


@dataclass(frozen=True)
class PlacementRules:
    """Hold `placement` of config/dev.yml; `memory` and `disk` are bytes, 0 means that any host will do."""

    per_host: int = 1
    packs: bool = False
    memory: int = 0
    cpus: float = 0
    disk: int = 0


@dataclass(frozen=True)
class Placement:
    """Hold the host of each stack, named after it, and why the others have none. `new` are not on their host yet.

    `created` are the names of hosts that have to be created, by the stacks that get them.
    """

    hosts: Mapping[str, Host] = field(default_factory=dict)
    errors: Mapping[str, DevError] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    created: Mapping[str, str] = field(default_factory=dict)


def place(
    names: Iterable[str],
    contents: Sequence[HostContents],
    rules: PlacementRules,
    *,
    on: str = "",
    creatable: Iterable[HostContents] = (),
) -> Placement:
    """Return the host of each stack: where it is found, else the fittest host with room for it.

    The order of `names` has no influence. A stack that is not found has no host while one does not answer, because it
    may be there. `on` is a name of the only host for new stacks, whether the others answer or not. `creatable` are the
    hosts that can be created, of which the next one is used if no other has room.
    """
    homes = located(contents)
    wanted = sorted({*names}, key=natural)
    errors: dict[str, DevError] = _out_of_reach(contents, {name: homes[name] for name in wanted if name in homes})
    contents = [item for item in contents if not on or on in item.names]
    hosts = {name: homes[name] for name in wanted if name in homes and name not in errors}
    missing = [name for name in wanted if name not in homes]
    if silent := [item for item in contents if item.is_unknown]:
        return Placement(hosts, {**errors, **{name: _unknown(name, silent) for name in missing}})
    rooms = _Rooms(contents, rules, () if on else creatable)
    created: dict[str, str] = {}
    for name in missing:
        chosen = rooms.take()
        if chosen is None:
            errors[name] = rooms.none_for(name)
        elif chosen in rooms.created:
            created[name] = chosen.name
        else:
            hosts[name] = at(chosen, name)
    return Placement(hosts, errors, tuple(name for name in missing if name in hosts), created)


class _Rooms:
    """Give rooms on hosts to stacks, one after another; the next host is created once no other has room."""

    def __init__(
        self, contents: Iterable[HostContents], rules: PlacementRules, creatable: Iterable[HostContents]
    ) -> None:
        self._contents = list(contents)
        self._rules = rules
        self._creatable = iter(creatable)
        self._stacks = {item.host: len(item.stacks) for item in self._contents}
        self._unfit: HostContents | None = None
        self.created: list[Host] = []

    def take(self) -> Host | None:
        """Return the fittest host for one more stack, None if no host has room."""
        fitting = [item for item in self._contents if not _lacks(item, self._stacks[item.host], self._rules)]
        # The first of several equal hosts is the first in the list.
        chosen = min(fitting, key=lambda item: self._rank(item.host)).host if fitting else self._next()
        if chosen is not None:
            self._stacks[chosen] += 1
        return chosen

    def none_for(self, name: str) -> ProviderError:
        """Return why there is no room for a stack."""
        if self._unfit:
            lacks = _lacks(self._unfit, 0, self._rules)[0]
            return ProviderError(f"no host has room for {name}: a new host {lacks}", hint=LOWER)
        return _no_room(name, self._contents, self._stacks, self._rules)

    def _rank(self, host: Host) -> int:
        return -self._stacks[host] if self._rules.packs else self._stacks[host]

    def _next(self) -> Host | None:
        """Return a new host, None if there is none that is large enough."""
        new = None if self._unfit else next(self._creatable, None)
        if new is None:
            return None
        if _lacks(new, 0, self._rules):
            self._unfit = new
            return None
        self._contents.append(new)
        self._stacks[new.host] = 0
        self.created.append(new.host)
        return new.host


def located(contents: Iterable[HostContents]) -> dict[str, Host]:
    """Return every stack that is on a host, in order.

    Of a stack on two hosts, the one that it does not leave counts, then the first in the list that answers.
    """
    answering_first = sorted(contents, key=lambda item: item.error is not None)
    places = [
        (natural(name), name in item.leaving, name, item.host) for item in answering_first for name in item.stacks
    ]
    hosts: dict[str, Host] = {}
    for _, _, name, host in sorted(places, key=lambda item: item[:2]):
        hosts.setdefault(name, at(host, name))
    return hosts


def at(host: Host, stack: str) -> Host:
    """Return a host under the name of a stack on it."""
    return replace(host, name=stack, shared=host.own_name)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """Return a key that sorts `app-2` before `app-10`."""
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name))


def size(text: str) -> int:
    """Return an amount of memory such as `512m` or `1.5g` in bytes; 0 for an empty text."""
    match = re.fullmatch(r"([0-9.]+)([a-z]?)b?", text.lower())
    if not match:
        return 0
    return int(float(match[1]) * 1024 ** " kmg".index(match[2].replace("b", "") or " "))


def _lacks(item: HostContents, stacks: int, rules: PlacementRules) -> tuple[str, ...]:
    """Return why a host does not take another stack."""
    return tuple(_lacking(item, stacks, rules))


def _lacking(item: HostContents, stacks: int, rules: PlacementRules) -> Iterator[str]:
    if item.closed:
        yield item.closed
    if item.error:
        yield "does not answer"
    if stacks >= rules.per_host:
        yield f"has {stacks} of {rules.per_host} stacks"
    if item.memory < rules.memory * (stacks + 1):
        yield f"has {_gigabytes(item.memory)} of memory, and {stacks + 1} x {_gigabytes(rules.memory)} are needed"
    if item.cpus < rules.cpus * (stacks + 1):
        yield f"has {item.cpus:g} CPUs, and {stacks + 1} x {rules.cpus:g} are needed"
    if item.disk_free < rules.disk:
        yield f"has {_gigabytes(item.disk_free)} of free disk space, and {_gigabytes(rules.disk)} are needed"


def _out_of_reach(contents: Iterable[HostContents], homes: Mapping[str, Host]) -> dict[str, DevError]:
    """Return why stacks that are known to be on a host cannot be deployed: it does not answer."""
    return {
        name: NoAnswer(name, f"{name} is on a host that does not answer: {item.error}", hint=COME_BACK)
        for item in contents
        for name in item.stacks
        if item.error and homes.get(name) == at(item.host, name)
    }


def _no_room(
    name: str, contents: Sequence[HostContents], stacks: Mapping[Host, int], rules: PlacementRules
) -> ProviderError:
    shown = list(contents)[:SHOWN]
    why = [f"{item.host.name} {_lacks(item, stacks[item.host], rules)[0]}" for item in shown]
    why += [f"{len(contents) - SHOWN} others have none either"] if len(contents) > SHOWN else []
    return ProviderError(f"no host has room for {name}: {'; '.join(why)}", hint=MOVE)


def _unknown(name: str, silent: Sequence[HostContents]) -> NoAnswer:
    names = ", ".join(item.host.name for item in silent)
    do = "do" if len(silent) > 1 else "does"
    return NoAnswer(
        name,
        f"{name} was not placed: {names} {do} not answer, and may have it: {silent[0].error}",
        hint=f"make {names} reachable, or choose the host yourself: `dev deploy {name} --on ADDRESS`",
    )


def _gigabytes(count: int) -> str:
    return f"{count / 1024**3:.3g} GB"
