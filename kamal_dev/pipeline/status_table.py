"""The table of `dev status`, and what is said below it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timezone

from kamal_dev.model import Container, short
from kamal_dev.output.table import fitted, table
from kamal_dev.output.units import long_duration, size
from kamal_dev.pipeline.status import StackStatus

HEAD = ("STACK", "SERVICE", "STATE", "HEALTH", "RESTARTS", "IMAGE", "UPTIME", "CPU", "MEMORY", "DISK")
# What a narrow terminal does without: the state says whether a health check passes, and recent restarts.
LEFT_OUT = ("HEALTH", "RESTARTS", "DISK", "IMAGE")


def report(stacks: Iterable[StackStatus], width: int | None = None) -> str:
    """Return the table, fitted to the `width` of a terminal if there is one, and what is wrong below it."""
    stacks = list(stacks)
    cells = [row for stack in stacks for row in rows(stack)]
    shown = table(HEAD, cells) if width is None else fitted(HEAD, cells, width, shorten="IMAGE", without=LEFT_OUT)
    return "\n".join((shown, *(line for stack in stacks for line in remarks(stack))))


def rows(stack: StackStatus) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a stack; one without a container has the state of the stack."""
    if not stack.containers or stack.reason:
        yield (stack.name, "-", stack.state, *("-",) * (len(HEAD) - 3))
    for container in sorted(stack.containers, key=lambda container: (container.service, container.name)):
        usage = stack.usage_of(container)
        yield (
            stack.name,
            container.service,
            f"{container.state} (drift)" if container.drift else container.state,
            (container.started_at and container.health) or "-",
            str(container.restarts) if container.id else "-",
            short(stack.image_of(container)) or "-",
            uptime(container),
            f"{usage.cpu:.1f}%" if usage else "-",
            _size(usage.memory if usage else None),
            _size(stack.disk_of(container)),
        )


def remarks(stack: StackStatus) -> Iterator[str]:
    """Return what else is to be said about a stack, a line each."""
    reason = f"{stack.name}: {stack.reason}" if stack.reason else ""
    hint = f"hint: `dev deploy {stack.name}` starts it" if stack.state == "off" else ""
    return filter(None, (reason, hint, *problems(stack), failure(stack), locked(stack)))


def problems(stack: StackStatus) -> Iterator[str]:
    """Return what is wrong with each container that differs from its release, and what to do about it."""
    wrong = [container for container in stack.containers if container.reason]
    for container in wrong:
        yield f"{stack.name}: {container.service}: {container.reason}"
    if wrong:
        yield f"hint: `dev deploy {stack.name}` restores it"


def locked(stack: StackStatus) -> str:
    """Return who holds the lock of a stack; empty if nobody does."""
    lock = stack.lock
    if lock is None:
        return ""
    if not lock.is_alive:
        return f"{stack.name}: {lock} died without releasing its lock; the next deploy takes it over"
    if lock.state == "stale":
        return f"{stack.name}: {lock} holds the lock, but has made no progress for {lock.age} s; see `dev lock release`"
    return f"{stack.name}: being changed by {lock}"


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


def uptime(container: Container, now: datetime | None = None) -> str:
    """Return how long a container has been running, as far as the two clocks agree; `-` if it is not running."""
    started = container.started_at
    if started is None:
        return "-"
    return long_duration(max(((now or datetime.now(timezone.utc)) - started).total_seconds(), 0.0))


def _size(count: int | None) -> str:
    return "-" if count is None else size(count)
