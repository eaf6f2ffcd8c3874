"""Wait for one's turn on a stack: one change at a time, and for no longer than one was told to."""

from __future__ import annotations

import time
from collections.abc import Callable

from kamal_dev.commands import answers, events, host
from kamal_dev.commands.facts import Lock
from kamal_dev.errors import HostTimeout, LinkDropped, LockHeld
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.scripts import output_of, watch
from kamal_dev.pipeline.run.connections import HostConnections

ASKING = 30.0
PAUSE = 1.0


def in_turn(
    connections: HostConnections, target: Host, stack: str, change: Callable[[], events.ScriptResult]
) -> events.ScriptResult:
    """Make a change; where another one is under way, wait for it here and try again.

    Waiting is not left to the host, so that nothing happens there after one has given up.
    Raises LockHeld once its time is over; this change has then touched nothing.
    """
    while True:
        outcome = change()
        if outcome.phase != "lock":
            return outcome
        lock = holder(connections, target, stack)
        if lock is None:
            if (remaining := _seconds_left(connections, target, stack)) <= 0:
                return outcome
            time.sleep(min(PAUSE, remaining))
        await_turn(connections, target, stack, lock)


def await_turn(connections: HostConnections, target: Host, stack: str, lock: Lock | None) -> None:
    """Return once the lock is released, showing the owner's progress meanwhile. Raises LockHeld."""
    if lock is None or not lock.is_alive:
        return
    _seconds_left(connections, target, stack)
    word = lock.word
    while lock and lock.is_alive:
        remaining = _seconds_left(connections, target, stack)
        if lock.state == "stale" or remaining <= 0:
            raise _held(connections, target, stack, lock)
        connections.output.start("locking", str(lock), target)
        _pass(connections, target, lock, remaining)
        lock = holder(connections, target, stack)
    connections.output.info(f"`{word}` has finished on the host", target, phase="locking")


def holder(connections: HostConnections, target: Host, stack: str) -> Lock | None:
    """Ask the host who has the lock of a stack, or had it and died."""
    stacks = answers.stacks(output_of(connections, target, host.unlock(connections.scripts, stack), timeout=ASKING))
    return stacks[0].lock if stacks else None


def _seconds_left(connections: HostConnections, target: Host, stack: str) -> float:
    """Return the seconds that are left; they count from the first time that the stack was found locked."""
    return min(connections.lock_budget.remaining(stack), connections.budget.remaining(target.name))


def _pass(connections: HostConnections, target: Host, lock: Lock, remaining: float) -> None:
    """Let some time pass: follow the run of the owner where it has one, else sleep."""
    if not lock.token:
        time.sleep(min(PAUSE, remaining))
        return
    try:
        watch(connections, target, lock.token, timeout=remaining)
    except HostTimeout:
        return
    except LinkDropped:
        if connections.is_closing():
            raise
        time.sleep(min(PAUSE, remaining))


def _held(connections: HostConnections, target: Host, stack: str, lock: Lock) -> LockHeld:
    seconds = connections.lock_budget.seconds
    if lock.state == "stale":
        what = f", without progress for {lock.age} s"
    else:
        what = f", waited {seconds:.0f} s" if seconds else ""
    return LockHeld(
        target.name,
        f"stack is locked by {lock}{what}",
        hint=f"`dev lock status {stack}` shows it; `dev lock release {stack}` ends it",
        left_behind="nothing was changed on the host by this run",
    )
