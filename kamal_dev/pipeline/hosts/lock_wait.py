"""Wait for the lock of a stack, up to `--lock-wait` seconds."""

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
MOVED = "moved"  # the phase of a change that another host has to be asked for, see host/underway.sh


def in_turn(
    connections: HostConnections, target: Host, stack: str, change: Callable[[], events.ScriptResult]
) -> events.ScriptResult:
    """Make a change; if another change is in progress, wait here and try again.

    A move of the stack that is not complete is undone first.

    The waiting happens here, not on the host, so that nothing runs there after this run has given up. Raises LockHeld
    when the time is over; nothing was changed then.
    """
    while True:
        outcome = change()
        if outcome.phase == MOVED:
            # It takes the locks of both hosts in turn.
            from kamal_dev.pipeline.hosts.undoing import undo_move

            undo_move(connections, target, stack, outcome)
            continue
        if outcome.phase != "lock":
            return outcome
        lock = holder(connections, target, stack)
        if lock is None:
            if (remaining := _seconds_left(connections, target, stack)) <= 0:
                return outcome
            time.sleep(min(PAUSE, remaining))
        await_turn(connections, target, stack, lock)


def await_turn(connections: HostConnections, target: Host, stack: str, lock: Lock | None) -> None:
    """Return when the lock is released, showing the progress of its owner meanwhile. Raises LockHeld."""
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
    """Ask the host who holds the lock of a stack, or held it and died."""
    stacks = answers.stacks(output_of(connections, target, host.unlock(connections.scripts, stack), timeout=ASKING))
    return stacks[0].lock if stacks else None


def _seconds_left(connections: HostConnections, target: Host, stack: str) -> float:
    """Return the seconds left to wait, counted from the first time the stack was found locked."""
    return min(connections.lock_budget.remaining(stack), connections.budget.remaining(target.name))


def _pass(connections: HostConnections, target: Host, lock: Lock, remaining: float) -> None:
    """Wait a moment: follow the run of the lock's owner if there is one, else sleep."""
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
