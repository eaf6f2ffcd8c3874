"""The story of `dev deploy`: observe, plan, execute. Read it from top to bottom.

`plan.py` has its first half, and `source_deploy.py` what is done for one source.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Protocol, TypeVar

from kamal_dev.errors import DevError, Interrupted, UsageError
from kamal_dev.output import Output
from kamal_dev.pipeline.plan import DeployOptions, confirm, find_hosts, require_terminal
from kamal_dev.pipeline.run.budget import HostBudget
from kamal_dev.pipeline.run.record import DeployRecord, failed, still_known
from kamal_dev.pipeline.run.report import Report, StackResult, merged
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.source_deploy import PlannedDeploy, SharedReach, SourceDeploy, Turns
from kamal_dev.plan.plan import joined
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

Source = tuple[Run, DeployOptions]


def deploy(run: Run, options: DeployOptions) -> Report:
    """Deploy this version to every chosen stack, in parallel; see `deploy_all`."""
    return deploy_all([(run, options)])


def deploy_all(every: Sequence[Source]) -> Report:
    """Deploy each source to its stacks, all in parallel.

    A failure on a host is part of the report and does not stop the others. What fails before any host is changed is
    raised if there is one source; of several, it is part of the report, too.
    """
    started = time.monotonic()
    if not (wanted := _limited(every)):
        return Report("Deployed", str(every[0][0].project.version), (), 0.0)
    turns, stages = Turns.of(len(wanted)), Stages.of(wanted)
    decided = stages.through(wanted, lambda item: SourceDeploy.of(*item, turns))
    require_terminal([item.source for item in decided])
    decided = stages.through(decided, SourceDeploy.pre_connect)
    if not decided:
        return stages.report()
    located = find_hosts([item.source for item in decided], is_deep=decided[0].source.options.is_interactive)
    require_terminal(located)
    decided = [replace(item, source=source) for item, source in zip(decided, located, strict=True)]
    planned = stages.through(decided, SourceDeploy.planned)
    if not planned:
        return stages.report()
    confirm([(item.source, item.plan) for item in planned], lambda: _stop(planned))
    reports = _carried_out(planned, stages, started)
    return _ended(planned, stages, reports)


def _limited(every: Sequence[Source]) -> list[Source]:
    """Return the sources with the time limit of the command; with `--retry-failed`, only what can be retried."""
    budget = HostBudget(every[0][1].timeout)
    runs = [(replace(run, budget=budget), options) for run, options in every]
    again = [(run, _again(run, options) if options.retry_failed else options) for run, options in runs]
    return [(run, options) for run, options in again if options.names or not options.retry_failed]


def _again(run: Run, options: DeployOptions) -> DeployOptions:
    """Return the options for the stacks whose last deploy failed and that can still be deployed."""
    if options.names:
        raise UsageError("`--retry-failed` selects the stacks", hint="omit NAME and `--host`")
    names = still_known(run.project, run.stacks, failed(run.project, run.output), options.count)
    if not names:
        run.output.info("Nothing to retry: the last deploy of every stack succeeded")
    return replace(options, names=names)


def _stop(planned: Sequence[PlannedDeploy]) -> None:
    """Stop builds that began early, before a question is asked."""
    for item in planned:
        item.decided.making.stop()


def _carried_out(planned: Sequence[PlannedDeploy], stages: Stages, started: float) -> dict[PlannedDeploy, Report]:
    """Carry out all plans; return the report of each source whose hosts were reached."""
    first = planned[0].source
    with ExitStack() as stack:
        # An interrupt ends the records of all; a source that fails ends its own.
        records = {item: stack.enter_context(item.record()) for item in planned}
        try:
            creating = {name for item in planned for name in item.source.scope.new_hosts}
            first.run.provider.make_room(len(creating), first.options.consent)
            reach = SharedReach.of([item.source for item in planned])
            reports = stages.through(planned, lambda item: _recorded(item, records[item], reach, started))
        except DevError as error:
            error.plan = joined(item.plan for item in planned).as_json()
            raise
    return dict(reports)


def _recorded(
    item: PlannedDeploy, record: DeployRecord, reach: SharedReach, started: float
) -> tuple[PlannedDeploy, Report]:
    with record:
        results, reached = item.carried_out(reach)
        seconds = time.monotonic() - started
        record.ended(results, reached, seconds)
    return item, item.report(results, seconds)


def _ended(planned: Sequence[PlannedDeploy], stages: Stages, reports: dict[PlannedDeploy, Report]) -> Report:
    """Report how all sources ended, and run the hooks that follow, one source after another."""
    whole = stages.report(reports.values())
    if not whole.failed:
        whole.tell(stages.output)
    errors = [error for item, report in reports.items() if (error := item.ended(report))]
    return replace(whole, plan=joined(item.plan for item in planned), hook=errors[0] if errors else None)


# --- several sources


class OfStacks(Protocol):
    """Anything that is about stacks."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stacks."""


Item = TypeVar("Item", bound="Source | OfStacks")
Value = TypeVar("Value")


@dataclass(frozen=True, eq=False)
class Stages:
    """Lead sources through the stages of a deploy, in parallel; one that fails takes no part in the next stages."""

    output: Output
    limit: int
    is_one: bool
    version: str
    failures: list[Report]

    @classmethod
    def of(cls, sources: Sequence[Source]) -> Stages:
        """Return the stages of these sources."""
        run = sources[0][0]
        return cls(run.output, run.connections.limit, len(sources) == 1, str(run.project.version), [])

    def through(self, items: Sequence[Item], work: Callable[[Item], Value]) -> list[Value]:
        """Return the values of the sources that did not fail. Raises the error of the only source."""
        if self.is_one:
            return [work(item) for item in items]
        outcomes = each(items, work, limit=self.limit)
        for item, outcome in zip(items, outcomes, strict=True):
            if isinstance(outcome, Interrupted):
                raise outcome
            if isinstance(outcome, DevError):
                self._fail(item, outcome)
        return [outcome for outcome in outcomes if not isinstance(outcome, DevError)]

    def _fail(self, item: Source | OfStacks, error: DevError) -> None:
        names = item[1].names if isinstance(item, tuple) else item.names
        results = tuple(StackResult(name, "", "failed", error=error) for name in names)
        for result in results:
            self.output.fail("deploying", error, result.stack)
        self.failures.append(Report("Deployed", self.version, results, is_named=True))

    def report(self, reports: Iterable[Report] = ()) -> Report:
        """Return one report of the sources that ended and of those that failed."""
        return merged([*reports, *self.failures])
