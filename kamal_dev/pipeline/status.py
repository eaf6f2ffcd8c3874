"""The story of `dev status`, and part of `dev list`: ask every host what it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from kamal_dev.commands import answers, host
from kamal_dev.commands.facts import FailedChange, Lock
from kamal_dev.errors import DevError, HostTimeout, NoAnswer
from kamal_dev.model import Container, Host, short
from kamal_dev.output.units import long_duration
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import of_project
from kamal_dev.pipeline.run.run import Run
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

HEAD = ("STACK", "SERVICE", "STATE", "HEALTH", "IMAGE", "UPTIME")
ASKING = 30.0
UNFINISHED = "lifecycle commands are pending; `dev deploy` runs them"


@dataclass(frozen=True)
class StackStatus:
    """Hold the current state of one stack, as reported by its host.

    `state` is `up`, `degraded` (a container differs from its release), `unfinished` (lifecycle commands still have to
    run), `stopped` (on purpose), `down` (no container runs), `absent` (the host has no such stack), `off`,
    `unreachable`, or `unknown` (the host answers, but does not say what runs). `reason` says why the state is
    unknown; `last` is how the last change ended if it failed.
    """

    name: str
    host: Host
    state: str
    version: str = ""
    containers: tuple[Container, ...] = ()
    reason: str = ""
    lock: Lock | None = None
    last: FailedChange | None = None

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

    def as_json(self) -> dict[str, Any]:
        """Return the stack for `--json`."""
        last = self.last
        return {
            "stack": self.name,
            "host": self.host.name,
            "address": self.host.address,
            "user": self.host.user,
            "port": self.host.port or 22,
            "version": self.version,
            "state": self.state,
            "reason": self.reason,
            "lock": self.lock and asdict(self.lock),
            "last": None if last is None else {"state": last.state, "version": last.version, "reason": last.reason},
            "containers": [asdict(container) for container in self.containers],
        }


def stacks(run: Run, names: tuple[str, ...] = ()) -> list[StackStatus]:
    """Return every stack of this project, or those that match `names`, including hosts that do not answer."""
    targets = of_project(run.stacks.items(), run.project, names)
    return look(run.connections, targets.items())


def look(connections: HostConnections, targets: Iterable[tuple[str, Host]]) -> list[StackStatus]:
    """Ask the hosts of these stacks what they run."""
    outcomes = each(targets, lambda item: _look(connections, *item), limit=connections.limit)
    return [stack for stack in outcomes if isinstance(stack, StackStatus)]


def locked(stack: StackStatus) -> str:
    """Return who holds the lock of a stack; empty if nobody does."""
    lock = stack.lock
    if lock is None:
        return ""
    if not lock.is_alive:
        return f"{stack.name}: {lock} died without releasing its lock; the next deploy takes it over"
    if lock.state == "stale":
        return f"{stack.name}: {lock} holds the lock, but has made no progress for {lock.age} s; see `dev lock release`"
    return f"{stack.name}: {lock} is changing it"


def _look(connections: HostConnections, name: str, target: Host) -> StackStatus:
    if not target.address:
        return StackStatus(name, target, "off", reason="the host is not running or does not answer")
    try:
        states = answers.stacks(
            output_of(connections, target, host.status(connections.scripts, (name,)), timeout=ASKING)
        )
    except (NoAnswer, HostTimeout) as error:
        return StackStatus(name, target, "unknown", reason=error.message)
    except DevError as error:
        return StackStatus(name, target, "unreachable", reason=error.message)
    for stack in states:
        version = stack.release.version if stack.release else ""
        reason = UNFINISHED if stack.state == "unfinished" else stack.reason
        return StackStatus(name, target, stack.state, version, stack.containers, reason, stack.lock, stack.last)
    return StackStatus(name, target, "absent")


def failure(stack: StackStatus) -> str:
    """Return how the last change of a stack failed; empty if it succeeded."""
    last = stack.last
    if last is None:
        return ""
    what = f"{stack.name}: the last change, to {short(last.version) or 'another release'}, failed"
    why = f": {last.reason.splitlines()[0]}" if last.reason else ""
    return f"{what}{why}; {ENDED.get(last.state, 'check its containers')}"


ENDED = {
    "untouched": "no container was changed",
    "restored": "the previous release was restored",
    "failed": "the failed containers were left in place",
    "stopped": "its containers were stopped",
    "unfinished": "its containers are running",
}


def containers(stack: StackStatus) -> Iterator[tuple[str, ...]]:
    """Yield the table rows of a stack; a row without a container says why there is none, or what else is wrong."""
    if not stack.containers or stack.reason:
        yield (stack.name, "-", stack.state, "-", "-", stack.reason or "-")
    for container in sorted(stack.containers, key=lambda container: (container.service, container.name)):
        state = container.state
        if container.restarts and state == "up":
            state += f", {container.restarts} restart{'' if container.restarts == 1 else 's'}"
        yield (
            stack.name,
            container.service,
            state,
            container.health or "-",
            short(container.image) or "-",
            uptime(container),
        )


def problems(stack: StackStatus) -> Iterator[str]:
    """Return what is wrong with each container that differs from its release, and what to do about it."""
    wrong = [container for container in stack.containers if container.reason]
    for container in wrong:
        yield f"{stack.name}: {container.service}: {container.reason}"
    if wrong:
        yield f"hint: `dev deploy {stack.name}` brings it back"


def uptime(container: Container, now: datetime | None = None) -> str:
    """Return how long a container has been running, as far as the two clocks agree; `-` if it is not running."""
    try:
        # Docker writes nanoseconds, which Python 3.10 cannot parse.
        started = datetime.fromisoformat(container.started[:19]).replace(tzinfo=timezone.utc)
    except ValueError:
        return "-"
    return long_duration(max(((now or datetime.now(timezone.utc)) - started).total_seconds(), 0.0))
