"""The story of `dev lock`: show who is changing the stacks, and release locks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from kamal_dev.commands import answers, host
from kamal_dev.commands.facts import Lock
from kamal_dev.errors import DevError, HostError, SomeHostsFailed
from kamal_dev.model import Host
from kamal_dev.output.units import long_duration
from kamal_dev.pipeline.hosts.apply import INTERRUPTED_HINT, LEFT, failure
from kamal_dev.pipeline.hosts.lock_wait import holder
from kamal_dev.pipeline.hosts.scripts import ask
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import of_project
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

HEAD = ("STACK", "HOST", "LOCK", "BY", "SINCE", "HEARTBEAT")
RELEASING = 60.0


@dataclass(frozen=True)
class Locked:
    """Hold the lock of one stack; `reason` says why it is unknown."""

    stack: str
    host: Host
    lock: Lock | None = None
    reason: str = ""

    @property
    def state(self) -> str:
        """`free`, `held`, `stale` (the owner is alive but hangs), `dead` (the owner died) or `unknown`."""
        return "unknown" if self.reason else self.lock.state if self.lock else "free"

    @property
    def row(self) -> tuple[str, ...]:
        """The row of the table."""
        if not self.lock:
            return (self.stack, self.host.name, self.reason or "free", "-", "-", "-")
        word = self.lock.word if self.state == "held" else f"{self.lock.word} ({self.state})"
        age = f"{long_duration(self.lock.age)} ago" if self.lock.is_alive else "-"
        return (self.stack, self.host.name, word, self.lock.by or "-", self.lock.since, age)

    def as_json(self) -> dict[str, Any]:
        """Return the lock for `--json`."""
        lock = None if self.lock is None else asdict(self.lock)
        return {"stack": self.stack, "host": self.host.name, "state": self.state, "reason": self.reason, "lock": lock}


def locks(run: Run, names: tuple[str, ...] = ()) -> list[Locked]:
    """Return the lock of every stack of this project, or of those that match `names`."""
    targets = of_project(run.stacks.items(), run.project, names)
    outcomes = each(targets.items(), lambda item: _look(run.connections, *item), limit=run.connections.limit)
    return [locked for locked in outcomes if isinstance(locked, Locked)]


def release(run: Run, names: tuple[str, ...], agree: Callable[[str], bool]) -> list[Locked]:
    """Remove the locks of dead owners, and end living owners after asking; return the locks found.

    A run that is ended reports its state itself. Raises SomeHostsFailed if a lock remains.
    """
    all_locks = locks(run, names)
    if not any(locked.reason or locked.lock for locked in all_locks):
        run.output.info("No stack is locked")
    silent = [locked for locked in all_locks if locked.reason]
    for locked in silent:
        run.output.fail("locking", HostError(locked.stack, locked.reason), locked.host)
    taken = [locked for locked in all_locks if locked.lock and (not locked.lock.is_alive or agree(_question(locked)))]
    outcomes = each(taken, lambda locked: _release(run.connections, locked), limit=run.connections.limit)
    ended = [outcome for outcome in outcomes if isinstance(outcome, StackResult)]
    if ended:
        history.note(run.project, run.output, run.performer, "lock release", ended)
    stay = [outcome.stack for outcome in ended if outcome.error] + [locked.stack for locked in silent]
    if stay:
        raise SomeHostsFailed(f"not released: {', '.join(stay)}", hint="check with `dev lock status`")
    return all_locks


def _look(connections: HostConnections, name: str, target: Host) -> Locked:
    if not target.address:
        return Locked(name, target, reason="the host is not running or does not answer")
    try:
        return Locked(name, target, holder(connections, target, name))
    except DevError as error:
        return Locked(name, target, reason=error.message)


def _question(locked: Locked) -> str:
    return f"End {locked.lock}, which is changing {locked.stack}?"


def _release(connections: HostConnections, locked: Locked) -> StackResult:
    assert locked.lock
    target, lock = locked.host, locked.lock
    outcome = StackResult(locked.stack, target.address, "released")
    try:
        step = host.unlock(connections.scripts, locked.stack, lock.pid, performer=connections.performer)
        released = answers.outcome(ask(connections, target, step, timeout=RELEASING).output)
        if not released:
            raise HostError(target.name, f"could not release the lock: {released.reason}")
    except DevError as error:
        connections.output.fail("locking", error, target)
        return failure(target, locked.stack, error)
    state = LEFT.get(released.state, "its state is unknown, check with `dev status`")
    connections.output.done("locking", str(lock), target, message="" if released.code == "dead" else state)
    if released.state == "interrupted":
        message = "The run was ended between two releases"
        connections.output.info(message, target, phase="locking", hint=INTERRUPTED_HINT)
    return replace(outcome, running=released.code)
