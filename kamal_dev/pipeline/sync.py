"""The story of `dev sync`: send the source to the workspaces of stacks, like a deploy does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kamal_dev.commands import answers, host
from kamal_dev.errors import Declined, DevError, NoAnswer, SomeHostsFailed, UsageError
from kamal_dev.model import Host
from kamal_dev.output.failure import Failure
from kamal_dev.output.summary import RunSummary, StackSummary
from kamal_dev.pipeline.hosts.observe import LOOKING
from kamal_dev.pipeline.hosts.scripts import ASKED, ask
from kamal_dev.pipeline.hosts.target import running, several
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.images.engine import last_line
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree, show_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import SendSource
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.sync import sync as plan_sync
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class SyncResult:
    """Hold what happened to the workspace of one stack: `state` as in `Workspace.send`, or `failed`.

    `is_held_back` means that the source did not reach a workspace that people have changed.
    """

    stack: str
    address: str
    state: str
    is_held_back: bool = False
    error: DevError | None = None

    @property
    def is_fine(self) -> bool:
        """Whether the workspace has the source."""
        return self.error is None and not self.is_held_back


@dataclass(frozen=True)
class SyncReport:
    """Hold the plan of a sync, and what happened to each workspace."""

    plan: Plan
    results: tuple[SyncResult, ...]
    dry_run: bool = False

    @property
    def states(self) -> tuple[str, ...]:
        """What happened, in the order of the stacks."""
        return tuple(result.state for result in self.results)

    def __str__(self) -> str:
        return str(self.plan) if self.dry_run else ""

    def error(self) -> DevError | None:
        """Return the error for the workspaces that did not get the source; the reasons were printed before."""
        failed = ", ".join(result.stack for result in self.results if not result.is_fine)
        verb = "would not be" if self.dry_run else "was not"
        return SomeHostsFailed(f"the workspace of {failed} {verb} updated") if failed else None

    def result(self) -> RunSummary:
        """Return the last line of `--json`."""
        error = self.error()
        return RunSummary(
            "sync",
            ok=error is None,
            exit_code=error.exit_code if error else 0,
            stacks=tuple(
                StackSummary(
                    item.stack,
                    item.address,
                    item.state,
                    ok=item.is_fine,
                    error=Failure.of(item.error) if item.error else None,
                )
                for item in self.results
            ),
            plan=self.plan.as_json(),
            error=Failure.of(error) if error else None,
        )


def sync(
    run: Run,
    names: tuple[str, ...],
    *,
    force: bool,
    dry_run: bool = False,
    agree: Agree = lambda question: True,
) -> SyncReport:
    """Send the source to the workspaces of the stacks that `names` match, in parallel; with `dry_run`, only plan.

    Asks first if several stacks are meant and none is named, or if `force` discards changes, of which a backup is
    kept. Raises UsageError if workspaces get no source, or if there is no such stack.
    """
    kind = run.project.workspace_source
    if kind not in ("git", "sync"):
        raise UsageError(f"`workspace.source` is `{kind}`: nothing is sent to workspaces")
    workspace = Workspace(run.project, run.tools, run.connections)
    workspace.read_ahead()
    stacks = several(run.stacks, run.project, names)
    observed = each(stacks, lambda name: _observe(stacks, run.connections, name), limit=run.connections.limit)
    observations = dict(zip(stacks, observed, strict=True))
    plan = Plan(
        stacks=tuple(_planned(name, observation, kind, workspace, force) for name, observation in observations.items())
    )
    if len(plan.stacks) == 1 and plan.stacks[0].error:
        raise plan.stacks[0].error
    if not dry_run:
        show_plan(run.output, plan)
        _confirm(plan, names, agree)

    def work(item: StackPlan) -> SyncResult:
        return _of_stack(run, workspace, observations[item.stack], item, dry_run)

    ended = each(plan.stacks, work, limit=run.connections.limit)
    report = SyncReport(plan, tuple(item for item in ended if isinstance(item, SyncResult)), dry_run)
    changed = [StackResult(item.stack, item.address, item.state) for item in report.results if item.state in _CHANGED]
    if changed and not dry_run:
        history.note(run.project, run.output, run.performer, "sync", changed)
    return report


def sync_all(runs: Iterable[tuple[Run, tuple[str, ...]]], *, force: bool, dry_run: bool, agree: Agree) -> SyncReport:
    """Send each source to the stacks that have it, one source after the other."""
    reports = [sync(run, names, force=force, dry_run=dry_run, agree=agree) for run, names in runs]
    plans = [report.plan for report in reports]
    plan = Plan(tuple(item for one in plans for item in one.here), tuple(item for one in plans for item in one.stacks))
    results = tuple(result for report in reports for result in report.results)
    return reports[0] if len(reports) == 1 else SyncReport(plan, results, dry_run)


_CHANGED = ("new", "moved")


def _planned(name: str, observation: Observation | DevError, kind: str, workspace: Workspace, force: bool) -> StackPlan:
    if isinstance(observation, DevError):
        return StackPlan(name, error=observation)
    try:
        return plan_sync(observation, kind, workspace.folder, force=force).stacks[0]
    except DevError as error:
        return StackPlan(name, observation.address, error=error)


def _confirm(plan: Plan, names: tuple[str, ...], agree: Agree) -> None:
    """Ask whether to send it. Raises Declined if the answer is no."""
    sent = [(item.stack, operation) for item in plan.stacks if (operation := item.first(SendSource))]
    forced = ", ".join(stack for stack, operation in sent if operation.force)
    if forced and not agree(f"Discard the changes in the workspace of {forced} (a backup is kept)?"):
        raise Declined
    if not forced and not names and len(sent) > 1:
        listed = ", ".join(stack for stack, _ in sent)
        if not agree(f"Send the source to {listed}?"):
            raise Declined


def _of_stack(
    run: Run, workspace: Workspace, observation: Observation | DevError, item: StackPlan, dry_run: bool
) -> SyncResult:
    """Send the source to one workspace as planned. Never raises: a failure is a result."""
    operation = item.first(SendSource)
    if error := observation if isinstance(observation, DevError) else item.error:
        run.output.fail("sending_source", error, item.stack)
        return SyncResult(item.stack, item.address, "failed", error=error)
    assert isinstance(observation, Observation)
    if dry_run or operation is None:
        return SyncResult(
            item.stack, item.address, item.state if dry_run else "skipped", is_held_back=operation is None
        )
    assert observation.host
    assert observation.facts
    # A workspace that got exactly this source and was changed afterwards lacks nothing.
    has_source = workspace.was_sent(observation.facts.source)
    try:
        state = workspace.send(observation.host, observation.stack, observation.facts, force=operation.force)
    except DevError as error:
        run.output.fail("sending_source", error, observation.host)
        return SyncResult(item.stack, item.address, "failed", error=error)
    return SyncResult(item.stack, item.address, state, is_held_back=state == "skipped" and not has_source)


def _observe(stacks: Mapping[str, Host], connections: HostConnections, name: str | None) -> Observation:
    """Observe the host of a stack. Raises NoAnswer, and the errors of `running`."""
    name, target = running(stacks, name)
    result = ask(connections, target, host.facts(connections.scripts, name), timeout=LOOKING)
    facts = answers.facts(result.output)
    if facts is None:
        raise NoAnswer(target.name, f"could not inspect the host: {last_line(result.tail())}", hint=ASKED)
    return Observation(name, target, facts)
