"""Say truthfully, per host and per service, what runs after a verb."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from kamal_dev.commands.events import Lifecycle
from kamal_dev.errors import DevError, SomeHostsFailed
from kamal_dev.model import Container, short
from kamal_dev.output.plain import duration

FINE = ("deployed", "unchanged", "rolled back", "removed", "absent", "released")


@dataclass(frozen=True)
class StackResult:
    """Say how a verb ended for one stack.

    `state` is `deployed`, `unchanged`, `rolled back`, `removed`, `absent` (there was nothing to
    remove), `failed`, `stopped`, `skipped` or `unknown`; `running` names the version that runs now,
    which after a failure is the one before, and `release` the id of its release where that which
    failed, or gave way, has the same version;
    `failed` are the containers that did not stay up, with reason and log, `lifecycle` the
    lifecycle commands that failed.
    `before` is the id of the release that gave way to this one: empty where there was none, None
    where nothing gave way. An `error` also says why a stack was rolled back that stood.
    `window` is the part of `seconds` spent watching services without a health check.
    """

    stack: str
    address: str
    state: str
    running: str = ""
    containers: tuple[Container, ...] = ()
    failed: tuple[Container, ...] = ()
    lifecycle: tuple[Lifecycle, ...] = ()
    seconds: float = 0.0
    window: float = 0.0
    phases: tuple[tuple[str, float], ...] = ()
    release: str = ""
    error: DevError | None = field(default=None, compare=False)
    before: str | None = field(default=None, compare=False)

    @property
    def is_fine(self) -> bool:
        """Whether the verb did here what it should."""
        return self.state in FINE and self.error is None

    def as_json(self) -> dict[str, Any]:
        """Return the outcome for `--json`."""
        error = self.error
        return {
            "stack": self.stack,
            "address": self.address,
            "state": self.state,
            "fine": self.is_fine,
            "running": self.running,
            "containers": [asdict(container) for container in self.containers],
            "failed": [asdict(container) for container in self.failed],
            "lifecycle": [asdict(command) for command in self.lifecycle],
            "seconds": self.seconds,
            "window": self.window,
            "phases": dict(self.phases),
            "error": error and {"message": error.message, "hint": error.hint, "left_behind": error.left_behind},
        }


@dataclass(frozen=True)
class Report:
    """Hold the outcomes of all stacks, in the order of their names; `hook` is what a hook failed with afterwards."""

    verb: str
    version: str
    outcomes: tuple[StackResult, ...]
    seconds: float = 0.0
    hook: DevError | None = field(default=None, compare=False)

    def __str__(self) -> str:
        width = max((len(outcome.stack) for outcome in self.outcomes), default=0)
        place = max((len(outcome.address) for outcome in self.outcomes), default=0)
        return "\n".join(
            f"  {outcome.stack:<{width}}  {outcome.address:<{place}}  {_line(outcome)}" for outcome in self.outcomes
        )

    @property
    def failed(self) -> tuple[StackResult, ...]:
        """The outcomes that are not fine."""
        return tuple(outcome for outcome in self.outcomes if not outcome.is_fine)

    def summary(self) -> str:
        """Say how many, of how many, and how long it took."""
        fine = sum(outcome.is_fine and outcome.state != "absent" for outcome in self.outcomes)
        return f"{self.verb} {fine} of {len(self.outcomes)} stacks in {duration(self.seconds)}"

    def error(self) -> DevError | None:
        """Return the sum of all failures, or None where there are none."""
        if not self.failed:
            return self.hook
        hints = list(
            dict.fromkeys(outcome.error.hint for outcome in self.failed if outcome.error and outcome.error.hint)
        )
        hint = hints[0] if len(hints) == 1 else f"`dev status` shows what runs; {self._again()} tries again"
        return SomeHostsFailed("; ".join((self.summary(), *self._shortfalls())), hint=hint)

    def _again(self) -> str:
        """Name the command that does the same once more: a rollback of those that did go back would go further."""
        if self.verb == "Rolled back":
            stacks = " ".join(f"--host {outcome.stack}" for outcome in self.failed)
            version = "" if "," in self.version else short(self.version)
            return f"`{' '.join(filter(None, ('dev rollback', version, stacks)))}`"
        return "`dev remove`" if self.verb == "Removed" else "`dev deploy --skip-build`"

    def _shortfalls(self) -> list[str]:
        """Name the stacks that are not fine, and the hook that failed after them."""
        words = {"skipped": "not begun", "rolled back": "rolled back", "stopped": "stopped"}
        parts: dict[str, list[str]] = {"failed": [], **{word: [] for word in words.values()}}
        for outcome in self.failed:
            parts[words.get(outcome.state, "failed")].append(outcome.stack)
        named = [f"{what}: {', '.join(stacks)}" for what, stacks in parts.items() if stacks]
        return [*named, self.hook.message.splitlines()[0]] if self.hook else named

    def as_json(self) -> dict[str, Any]:
        """Return the report for `--json`."""
        return {
            "version": self.version,
            "seconds": round(self.seconds, 3),
            "fine": self.error() is None,
            "stacks": [outcome.as_json() for outcome in self.outcomes],
            "hook": self.hook and {"message": self.hook.message, "hint": self.hook.hint},
        }


def _line(outcome: StackResult) -> str:
    if outcome.is_fine:
        if outcome.state in ("removed", "absent"):
            return f"✓ {outcome.state}"
        again = f" with {short(outcome.running, outcome.release)} again"
        note = {"unchanged": " unchanged", "rolled back": again}.get(outcome.state, "")
        return f"✓ up{note} ({services(outcome.containers)})"
    reason = outcome.error.message.splitlines()[0] if outcome.error else outcome.state
    runs = f"; version {short(outcome.running, outcome.release)} runs" if outcome.running else ""
    return f"✗ {reason}{runs}"


def services(containers: Iterable[Container]) -> str:
    """Name the services that run, and what the others do."""
    words = [c.service if c.state == "running" else f"{c.service}: {describe(c)}" for c in containers]
    return ", ".join(sorted(words))


def describe(container: Container) -> str:
    """Say how a container stands, as people say it."""
    if container.state == "exited":
        return f"exited {container.exit_code}"
    return f"{container.state}, {container.health}" if container.health else container.state
