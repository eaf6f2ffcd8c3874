"""Report, per host and per service, what runs after a verb."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import field

from kamal_dev.commands.events import Lifecycle
from kamal_dev.errors import DevError, SomeHostsFailed
from kamal_dev.model import Container, short
from kamal_dev.output import Output
from kamal_dev.output.event import Phase
from kamal_dev.output.failure import Failure, kind
from kamal_dev.output.summary import ContainerSummary, LifecycleSummary, RunSummary, StackSummary, taken
from kamal_dev.output.units import duration
from kamal_dev.plan.placement import natural
from kamal_dev.plan.plan import Plan, joined
from kamal_dev.values import dataclass

STATUS = "`dev status` shows what is running"
FINE = (
    *("deployed", "unchanged", "rolled back", "removed", "absent", "released"),
    *("stopped", "started", "restarted", "scaled", "restored", "backed up", "kept", "moved"),
)


@dataclass(frozen=True)
class StackResult:
    """Hold how a verb ended for one stack.

    `state` is `deployed`, `unchanged`, `rolled back`, `removed`, `absent` (there was nothing to remove), `kept` (`dev
    reap` did not remove it), `stopped`, `started`, `restarted`, `scaled`, `restored`, `moved`, `failed`, `skipped` or
    `unknown`. `running` is the version that runs (after a failure, the previous one), and `release` the id of its
    release if the failed or replaced release has the same version. `failed` are the containers that did not stay up,
    with reason and log, `lifecycle` the failed lifecycle commands. `before` is the id of the replaced release: empty if
    there was none, None if nothing was replaced. `error` also says why a stack that worked was rolled back. `window` is
    the part of `seconds` spent watching services without a health check.
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
        """Whether the verb succeeded for this stack."""
        return self.state in FINE and self.error is None

    def result(self) -> StackSummary:
        """Return the outcome for `--json`."""
        return StackSummary(
            self.stack,
            self.address,
            self.state,
            self.is_fine,
            self.running,
            tuple(taken(ContainerSummary, container) for container in self.containers),
            tuple(taken(ContainerSummary, container) for container in self.failed),
            tuple(taken(LifecycleSummary, command) for command in self.lifecycle),
            seconds=round(self.seconds, 3),
            window=self.window,
            phases=dict(self.phases),
            error=Failure.of(self.error) if self.error else None,
        )


@dataclass(frozen=True)
class Report:
    """Hold the outcomes of all stacks, sorted by name.

    `hook` is the error of a hook that failed afterwards, `plan` the plan that was carried out, `services` what the user
    named. `is_named`: some are named stacks, which `dev deploy` without names leaves out.
    """

    verb: str
    version: str
    outcomes: tuple[StackResult, ...]
    seconds: float = 0.0
    hook: DevError | None = field(default=None, compare=False)
    plan: Plan | None = field(default=None, compare=False)
    services: tuple[str, ...] = ()
    is_named: bool = False

    def __str__(self) -> str:
        width = max((len(outcome.stack) for outcome in self.outcomes), default=0)
        place = max((len(outcome.address) for outcome in self.outcomes), default=0)
        return "\n".join(
            f"  {outcome.stack:<{width}}  {outcome.address:<{place}}  {_line(outcome)}" for outcome in self.outcomes
        )

    @property
    def failed(self) -> tuple[StackResult, ...]:
        """The outcomes that failed."""
        return tuple(outcome for outcome in self.outcomes if not outcome.is_fine)

    def summary(self) -> str:
        """Return how many stacks of how many succeeded, and how long it took."""
        return f"{self.verb} {self._count()} in {duration(self.seconds)}"

    def _count(self) -> str:
        fine = sum(outcome.is_fine and outcome.state not in ("absent", "kept") for outcome in self.outcomes)
        return f"{fine} of {len(self.outcomes)} stacks"

    def error(self) -> DevError | None:
        """Return the sum of all failures, or None if there are none."""
        if not self.failed:
            return self.hook
        errors = [outcome.error for outcome in self.failed if outcome.error]
        # The hints of the stacks were printed already.
        hints = [] if any(STATUS in error.hint for error in errors) else [STATUS]
        # A retry makes no sense for other failures: their own hint says what to change.
        if any(kind(error).retryable for error in errors):
            hints.append(f"{self._again()} retries")
        return SomeHostsFailed("; ".join((self.summary(), *self._shortfalls())), hint="; ".join(hints))

    def _again(self) -> str:
        """Return the command that retries only the failed stacks: the others would be rolled back too far."""
        if self.verb == "Rolled back":
            stacks = " ".join(f"--host {outcome.stack}" for outcome in self.failed)
            version = "" if "," in self.version else short(self.version)
            return f"`{' '.join(filter(None, ('dev rollback', version, stacks)))}`"
        verb = _COMMANDS[self.verb]
        if verb == "deploy":
            names = [outcome.stack for outcome in self.failed] if self.is_named else []
            return f"`{' '.join(('dev deploy', *names, '--skip-build'))}`"
        if verb in ("remove", "reap"):
            return f"`dev {verb}`"
        return f"`{' '.join(('dev', verb, *(outcome.stack for outcome in self.failed), *self.services))}`"

    def _shortfalls(self) -> list[str]:
        """Name the stacks that failed, and the hook that failed after them."""
        words = {"skipped": "skipped", "rolled back": "rolled back", "stopped": "stopped"}
        parts: dict[str, list[str]] = {"failed": [], **{word: [] for word in words.values()}}
        for outcome in self.failed:
            parts[words.get(outcome.state, "failed")].append(outcome.stack)
        named = [f"{what}: {', '.join(stacks)}" for what, stacks in parts.items() if stacks]
        return [*named, self.hook.message.splitlines()[0]] if self.hook else named

    def result(self) -> RunSummary:
        """Return the report for `--json`."""
        error = self.error()
        return RunSummary(
            _COMMANDS[self.verb],
            ok=error is None,
            exit_code=error.exit_code if error else 0,
            version=self.version,
            seconds=round(self.seconds, 3),
            stacks=tuple(outcome.result() for outcome in self.outcomes),
            plan=self.plan.as_json() if self.plan else None,
            hook=Failure.of(self.hook) if self.hook else None,
            error=Failure.of(error) if error else None,
        )

    def tell(self, output: Output) -> None:
        """Print as the last event that all went well."""
        output.done(_PHASES[self.verb], self._count(), seconds=self.seconds)


def merged(reports: Sequence[Report]) -> Report:
    """Return the reports of one verb about several sources, which took place at the same time, as one."""
    first, *others = reports
    if not others:
        return first
    return Report(
        first.verb,
        ", ".join(dict.fromkeys(report.version for report in reports)),
        tuple(sorted((item for report in reports for item in report.outcomes), key=lambda item: natural(item.stack))),
        max(report.seconds for report in reports),
        next((report.hook for report in reports if report.hook), None),
        joined(report.plan for report in reports if report.plan),
        is_named=any(report.is_named for report in reports),
    )


_COMMANDS = {
    **{"Deployed": "deploy", "Rolled back": "rollback", "Removed": "remove", "Reaped": "reap"},
    **{"Stopped": "stop", "Started": "start", "Restarted": "restart", "Scaled": "scale"},
    "Moved": "move",
}
_PHASES: dict[str, Phase] = {
    **{"Deployed": "deploying", "Rolled back": "rolling_back", "Removed": "removing", "Reaped": "removing"},
    **{"Stopped": "stopping", "Started": "starting", "Restarted": "restarting", "Scaled": "scaling"},
    "Moved": "moving",
}


def _line(outcome: StackResult) -> str:
    if outcome.is_fine:
        if outcome.state in ("removed", "absent", "kept"):
            return f"✓ {outcome.state}"
        if outcome.state == "stopped":
            return f"✓ stopped ({services(outcome.containers)})" if _runs(outcome) else "✓ stopped"
        again = f" with {short(outcome.running, outcome.release)} again"
        note = {"unchanged": " unchanged", "rolled back": again}.get(outcome.state, "")
        return f"✓ up{note} ({services(outcome.containers)})"
    # The reason was printed when it happened.
    reason = kind(outcome.error).headline if outcome.error and outcome.state == "failed" else outcome.state
    runs = f"; version {short(outcome.running, outcome.release)} runs" if outcome.running else ""
    return f"✗ {reason}{runs}"


def _runs(outcome: StackResult) -> bool:
    return any(container.state not in ("stopped", "completed") for container in outcome.containers)


def services(containers: Iterable[Container]) -> str:
    """Return the services that are up, and the state of the others."""
    count = Counter(c.service if c.state == "up" else f"{c.service}: {c.state}" for c in containers)
    return ", ".join(f"{what} ×{number}" if number > 1 else what for what, number in sorted(count.items()))
