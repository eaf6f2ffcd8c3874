"""The story of `dev status`, and part of `dev list`: ask every host what it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, field, replace
from typing import Any

from kamal_dev.commands import answers, host
from kamal_dev.commands.facts import FailedChange, Lock, host_ports
from kamal_dev.commands.stacks import MountedVolume, StackState, Usage
from kamal_dev.commands.words import is_stack_word
from kamal_dev.errors import DevError, HostTimeout, NoAnswer
from kamal_dev.model import Container, Host, Lifetime
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import is_numbered, of_project
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.placement import HostContents, at, natural
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

ASKING = 30.0
UNFINISHED = "lifecycle commands are pending; `dev deploy` runs them"


@dataclass(frozen=True)
class StackStatus:
    """Hold the current state of one stack, as reported by its host.

    `state` is `up`, `degraded` (a container differs from its release), `unfinished` (lifecycle commands still have to
    run), `stopped` (on purpose), `down` (no container runs), `absent` (the host has no such stack), `off`,
    `unreachable`, or `unknown` (the host answers, but does not say what runs). `reason` says why the state is
    unknown; `last` is how the last change ended if it failed. `usage` and `volumes` are empty unless they are asked
    for. `repositories` are the names of the images that the project builds, `ports` the ports of the host that the
    stack has, by the names of its published ports. `ref` names the source of a named stack, see
    `SourceOrigin`, and `service` its project. `lifetime` is None without a limit.
    """

    name: str
    host: Host
    state: str
    version: str = ""
    containers: tuple[Container, ...] = ()
    reason: str = ""
    lock: Lock | None = None
    last: FailedChange | None = None
    usage: tuple[Usage, ...] = ()
    volumes: tuple[MountedVolume, ...] = ()
    repositories: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    ref: str = ""
    service: str = ""
    lifetime: Lifetime | None = None

    @property
    def is_fine(self) -> bool:
        """Whether nothing is wrong; a host without its stack is fine, too."""
        return self.state in ("up", "absent", "stopped")

    @property
    def is_known(self) -> bool:
        """Whether the host or its provider reported the state of the stack."""
        return self.state not in ("unreachable", "unknown")

    @property
    def address(self) -> str:
        """The address of the host, in the form that ssh takes."""
        return f"{self.host.address}:{self.host.port}" if self.host.port not in (0, 22) else self.host.address or "-"

    @property
    def disk(self) -> dict[str, int | None]:
        """The volumes of the stack and their bytes, `None` where they were not measured."""
        return {volume.name: volume.bytes for volume in self.volumes}

    def image_of(self, container: Container) -> str:
        """Return the image of a container, with the version in place of the digest if this version built it."""
        name, _, digest = container.image.partition("@")
        is_built = digest and name in self.repositories and container.state != "outdated"
        return f"{name}:{self.version}" if is_built else container.image

    def usage_of(self, container: Container) -> Usage | None:
        """Return what a container uses, if it is known."""
        return next((usage for usage in self.usage if usage.id == container.id), None)

    def disk_of(self, container: Container) -> int | None:
        """Return the bytes of the volumes of a container; None if it has none, or one was not measured."""
        sizes = [volume.bytes for volume in self.volumes if volume.container == container.id]
        known = [size for size in sizes if size is not None]
        return sum(known) if known and len(known) == len(sizes) else None

    def measured(self) -> dict[str, Any]:
        """Return the stack for `--json`, with what it uses; `null` where that is unknown."""
        stack = self.as_json()
        containers = [{**asdict(item), **self._usage(item)} for item in self.containers]
        volumes = [{"name": name, "bytes": size} for name, size in self.disk.items()]
        return {
            **stack,
            "drift": any(item.drift for item in self.containers),
            "containers": containers,
            "volumes": volumes,
        }

    def _usage(self, container: Container) -> dict[str, Any]:
        usage = self.usage_of(container)
        return {name: usage and getattr(usage, name) for name in ("cpu", "cpu_seconds", "memory")}

    def as_json(self) -> dict[str, Any]:
        """Return the stack for `--json`."""
        last = self.last
        return {
            "stack": self.name,
            "host": self.host.own_name,
            "address": self.host.address,
            "user": self.host.user,
            "port": self.host.port or 22,
            "version": self.version,
            "ref": self.ref,
            "state": self.state,
            "reason": self.reason,
            "lock": self.lock and asdict(self.lock),
            "last": None if last is None else {"state": last.state, "version": last.version, "reason": last.reason},
            "ports": dict(self.ports),
            "lifetime": self.lifetime and asdict(self.lifetime),
            "containers": [asdict(container) for container in self.containers],
        }


def stacks(run: Run, names: tuple[str, ...] = (), *, is_measured: bool = False) -> list[StackStatus]:
    """Return every stack of this project, or those that match `names`, including hosts that do not answer.

    `is_measured`: also with what their containers use. The provider is asked each time.
    """
    if run.provider.machines():
        known = {stack.name: stack for stack in look_everywhere(run, is_measured=is_measured)}
        chosen = of_project([(name, stack.host) for name, stack in known.items()], run.project, names)
        statuses = [known[name] for name in chosen]
    else:
        targets = of_project(run.provider.stacks(), run.project, names)
        statuses = look(run.connections, targets.items(), is_measured=is_measured)
    return [replace(stack, repositories=run.project.repositories) for stack in statuses]


def overview(run: Run) -> list[StackStatus]:
    """Return every stack of this project as `dev list` shows it, with the hosts that this run found first."""
    return look_everywhere(run) if run.provider.machines() else look(run.connections, run.stacks.items())


def look_everywhere(run: Run, *, is_measured: bool = False) -> list[StackStatus]:
    """Ask the hosts that share stacks for all stacks of this project, each host once.

    A host that does not answer has those stacks that the provider knows, or that this machine remembers; without any,
    it has a line of its own.
    """
    inventory = run.provider.inventory()

    def one(machine: Host) -> list[StackStatus]:
        known = inventory.get(machine.name)
        if known and known.error:
            state = "unreachable" if machine.address else "off"
            return [StackStatus(machine.name, machine, state, reason=known.error.message)]
        return _look(run.connections, [(machine.name, machine)], is_measured=is_measured, names=())

    answers = each(run.provider.machines(), one, limit=run.connections.limit)
    statuses = [stack for answer in answers if isinstance(answer, list) for stack in answer]
    silent = [stack for stack in statuses if not stack.is_known or stack.state == "off"]
    stacks = {stack.name: stack for stack in statuses if stack not in silent and _is_of(run.project, stack)}
    for item in silent:
        expected = known_on(run.project, inventory.get(item.name))
        if expected is None:
            expected = run.remembered_on((item.host,)) or {item.name: item.host}
        stacks = {name: replace(item, name=name, host=host) for name, host in expected.items()} | stacks
    return sorted(stacks.values(), key=lambda stack: natural(stack.name))


def known_on(project: Project, contents: HostContents | None) -> dict[str, Host] | None:
    """Return the stacks of a project that the provider knows on a host; None if it does not know them."""
    if contents is None or contents.services is None:
        return None
    ours = [stack for stack, service in contents.services.items() if service == project.config.service]
    return {stack: at(contents.host, stack) for stack in ours}


def _is_of(project: Project, stack: StackStatus) -> bool:
    """Return whether a stack belongs to a project: the name of a named one does not tell."""
    return stack.service == project.config.service if stack.ref else is_numbered(project, stack.name)


def look(
    connections: HostConnections, targets: Iterable[tuple[str, Host]], *, is_measured: bool = False
) -> list[StackStatus]:
    """Ask the hosts of these stacks what they run, each host once."""
    targets = list(targets)
    hosts: dict[Host, list[tuple[str, Host]]] = {}
    for target in targets:
        hosts.setdefault(replace(target[1], name=""), []).append(target)
    results = each(
        hosts.values(), lambda listed: _look(connections, listed, is_measured=is_measured), limit=connections.limit
    )
    statuses = {(stack.name, stack.host): stack for result in results if isinstance(result, list) for stack in result}
    return [statuses[target] for target in targets]


def _look(
    connections: HostConnections,
    listed: list[tuple[str, Host]],
    *,
    is_measured: bool,
    names: tuple[str, ...] | None = None,
) -> list[StackStatus]:
    """Ask one host for these stacks, or with empty `names` for all that it has."""

    def all_of(state: str, reason: str = "") -> list[StackStatus]:
        return [StackStatus(name, host, state, reason=reason) for name, host in listed]

    target = listed[0][1]
    if not target.address:
        return all_of("off", "the host is not running or does not answer")
    asked_names = tuple(dict.fromkeys(name for name, _ in listed)) if names is None else names
    asked = host.status(connections.scripts, asked_names, is_measured=is_measured)
    try:
        states = answers.stacks(output_of(connections, target, asked, timeout=ASKING))
    except (NoAnswer, HostTimeout) as error:
        return all_of("unknown", error.message)
    except DevError as error:
        return all_of("unreachable", error.message)
    if names is not None:
        return [_status(state.stack, at(target, state.stack), state) for state in states if is_stack_word(state.stack)]
    known = {state.stack: state for state in states}
    return [_status(name, at_host, known.get(name)) for name, at_host in listed]


def _status(name: str, target: Host, stack: StackState | None) -> StackStatus:
    if stack is None:
        return StackStatus(name, target, "absent")
    return StackStatus(
        name,
        target,
        stack.state,
        stack.release.version if stack.release else "",
        stack.containers,
        UNFINISHED if stack.state == "unfinished" else stack.reason,
        stack.lock,
        stack.last,
        stack.usage,
        stack.volumes,
        ports=host_ports(stack.allotted),
        ref=stack.release.ref if stack.release else "",
        service=stack.release.service if stack.release else "",
        lifetime=stack.lifetime,
    )
