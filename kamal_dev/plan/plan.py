"""A plan: what will be done on this machine and for each stack, and why. Printable; does nothing itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from kamal_dev.errors import DevError, HostUnreachable, NoAnswer
from kamal_dev.plan.operation import (
    ApplyRelease,
    Bootstrap,
    BuildImage,
    CreateHost,
    DestroyHost,
    Operation,
    ReuseImage,
    StartHost,
)
from kamal_dev.plan.volume_copy import CopyVolumes
from kamal_dev.values import dataclass

HERE = "this machine"
OF_HOSTS = (CreateHost.verb, StartHost.verb, DestroyHost.verb)  # done to a host, not on it
Kind = TypeVar("Kind", bound=Operation)


@dataclass(frozen=True)
class StackPlan:
    """Hold the operations for one stack, in order; without operations, `reason` or `error` says why.

    An `error` blocks the stack: nothing is done for it. `notes` and `warnings` are for people.
    """

    stack: str
    address: str = ""
    operations: tuple[Operation, ...] = ()
    reason: str = ""
    error: DevError | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """`changes`, `unchanged`, `blocked`, or `unknown` if the host did not answer."""
        if isinstance(self.error, HostUnreachable | NoAnswer):
            return "unknown"
        return "blocked" if self.error else "changes" if self.operations else "unchanged"

    def first(self, kind: type[Kind]) -> Kind | None:
        """Return the first operation of a kind."""
        return next((operation for operation in self.operations if isinstance(operation, kind)), None)

    @property
    def brings_watcher(self) -> bool:
        """Whether the watcher is installed while the release is applied: nothing of a release depends on it."""
        bootstrap = self.first(Bootstrap)
        return bool(bootstrap and bootstrap.is_for_watcher and self.first(ApplyRelease))

    @property
    def lines(self) -> Iterator[str]:
        """One line per operation, or a line that says why there is none."""
        if self.error:
            yield f"{self.state} ({self.error.message})"
        elif not self.operations:
            yield f"unchanged ({self.reason})" if self.reason else "unchanged"
        else:
            yield from map(str, self.operations)
        yield from (f"warning: {warning}" for warning in self.warnings)
        yield from (f"note: {note}" for note in self.notes)

    def as_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        error = self.error
        return {
            "stack": self.stack,
            "address": self.address,
            "state": self.state,
            "operations": [operation.as_json() for operation in self.operations],
            "reason": self.reason,
            "error": error and {"message": error.message, "hint": error.hint},
            "warnings": list(self.warnings),
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class Plan:
    """Hold the operations on this machine, and the plan of each stack, in order."""

    here: tuple[Operation, ...] = ()
    stacks: tuple[StackPlan, ...] = ()

    def __str__(self) -> str:
        rows = [(HERE, str(operation)) for operation in self.here]
        rows += [(item.stack, line) for item in self.stacks for line in item.lines]
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join(f"{name:<{width}}  {line}" for name, line in rows)

    def of(self, stack: str) -> StackPlan:
        """Return the plan of one stack. Raises KeyError."""
        for item in self.stacks:
            if item.stack == stack:
                return item
        raise KeyError(stack)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to be done; a stack that is blocked or unknown has nothing to do."""
        is_quiet = all(isinstance(item, ReuseImage) or _is_known(item) for item in self.here)
        return is_quiet and not any(item.operations for item in self.stacks)

    @property
    def new_hosts(self) -> tuple[str, ...]:
        """The hosts that will be created: by their stacks, or by their names if stacks share them."""
        creations = ((item.stack, item.first(CreateHost)) for item in self.stacks)
        return tuple(creation.host or stack for stack, creation in creations if creation)

    @property
    def disturbs(self) -> tuple[tuple[str, ApplyRelease], ...]:
        """The stacks whose containers may be replaced while people work in them."""
        applied = ((item.stack, item.first(ApplyRelease)) for item in self.stacks)
        return tuple((stack, operation) for stack, operation in applied if operation and operation.inside)

    @property
    def copies(self) -> tuple[tuple[str, CopyVolumes], ...]:
        """The new stacks that get copies of volumes."""
        copies = ((item.stack, item.first(CopyVolumes)) for item in self.stacks)
        return tuple((stack, operation) for stack, operation in copies if operation)

    @property
    def blocked(self) -> tuple[StackPlan, ...]:
        """The stacks that are blocked or unknown."""
        return tuple(item for item in self.stacks if item.error)

    @property
    def summary(self) -> str:
        """Return how many of each operation there are."""
        made = Counter(operation.verb for operation in self.here)
        done = Counter(kind for item in self.stacks for kind in dict.fromkeys(map(_kind, item.operations)))
        idle = Counter(item.state for item in self.stacks if item.state != "changes")
        words = [f"{verb} {_count(number, 'image')}" for verb, number in made.items()]
        words += [
            f"{verb.removesuffix(' to')} {'' if verb in OF_HOSTS else 'on '}{_count(number, 'host')}{condition}"
            for (verb, condition), number in ((kind, done[kind]) for kind in _in_order(done))
        ]
        words += [f"{_count(number, 'stack')} {state}" for state, number in idle.items()]
        return ", ".join(words) or "nothing to do"

    def as_json(self) -> dict[str, Any]:
        """Return the plan for `--json`."""
        return {
            "summary": self.summary,
            "empty": self.is_empty,
            "here": [operation.as_json() for operation in self.here],
            "stacks": [item.as_json() for item in self.stacks],
        }


def joined(plans: Iterable[Plan]) -> Plan:
    """Return several plans as one; work on this machine that several need is done once."""
    plans = tuple(plans)
    here: list[Operation] = []
    for operation in (operation for item in plans for operation in item.here):
        if operation not in here:
            here.append(operation)
    return Plan(tuple(here), tuple(stack for item in plans for stack in item.stacks))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _kind(operation: Operation) -> tuple[str, str]:
    """Return the verb and the condition under which the operation happens."""
    is_conditional = isinstance(operation, ApplyRelease) and operation.depends_on
    return operation.verb, " if an image changes" if is_conditional else ""


def _in_order(kinds: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return kinds in order of appearance, but operations that create or start hosts first."""
    return sorted(kinds, key=lambda kind: kind[0] not in (CreateHost.verb, StartHost.verb))


def _is_known(operation: Operation) -> bool:
    return isinstance(operation, BuildImage) and operation.is_known
