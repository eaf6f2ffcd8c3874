"""The story of `dev sync`: send the source to the workspace of one stack, like a deploy does."""

from __future__ import annotations

from collections.abc import Mapping

from kamal_dev.commands import answers, host
from kamal_dev.errors import Declined, DevError, NoAnswer, SomeHostsFailed, UsageError
from kamal_dev.model import Host
from kamal_dev.output.failure import Failure
from kamal_dev.output.summary import RunSummary, StackSummary
from kamal_dev.pipeline.hosts.observe import LOOKING
from kamal_dev.pipeline.hosts.scripts import ASKED, ask
from kamal_dev.pipeline.hosts.target import running
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
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class SyncReport:
    """Hold the plan of a sync, and what happened to the workspace: `state` as in `Workspace.send`.

    `is_held_back` means that the source did not reach a workspace that people have changed.
    """

    plan: Plan
    state: str
    is_held_back: bool = False
    dry_run: bool = False

    @property
    def stack(self) -> StackPlan:
        """The plan of the one stack."""
        (stack,) = self.plan.stacks
        return stack

    def __str__(self) -> str:
        return str(self.plan) if self.dry_run else ""

    def error(self) -> DevError | None:
        """Return the error if the source was held back, or None; the reason and the hint were printed before."""
        if not self.is_held_back:
            return None
        verb = "would not be" if self.dry_run else "was not"
        return SomeHostsFailed(f"the workspace of {self.stack.stack} {verb} updated")

    def result(self) -> RunSummary:
        """Return the last line of `--json`."""
        error, stack = self.error(), self.stack
        return RunSummary(
            "sync",
            ok=error is None,
            exit_code=error.exit_code if error else 0,
            stacks=(StackSummary(stack.stack, stack.address, self.state, ok=error is None),),
            plan=self.plan.as_json(),
            error=Failure.of(error) if error else None,
        )


def sync(
    run: Run, name: str | None, *, force: bool, dry_run: bool = False, agree: Agree = lambda question: True
) -> SyncReport:
    """Send the source to the workspace of a stack; with `dry_run`, only plan.

    With `force`, changes made there are discarded, after a backup. Raises UsageError if workspaces get no source, or
    if there is no such stack.
    """
    kind = run.project.workspace_source
    if kind not in ("git", "sync"):
        raise UsageError(f"`workspace.source` is `{kind}`: nothing is sent to workspaces")
    workspace = Workspace(run.project, run.tools, run.connections)
    workspace.read_ahead()
    observation = _observe(run.stacks, run.connections, name)
    plan = plan_sync(observation, kind, workspace.folder, force=force)
    stack = plan.of(observation.stack)
    if dry_run:
        return SyncReport(plan, stack.state, is_held_back=not stack.operations, dry_run=True)
    show_plan(run.output, plan)
    operation = stack.first(SendSource)
    if operation is None:
        return SyncReport(plan, "skipped", is_held_back=True)
    if operation.force and not agree(
        f"Discard the changes in the workspace of {observation.stack} (a backup is kept)?"
    ):
        raise Declined
    # A workspace that got exactly this source and was changed afterwards lacks nothing.
    has_source = observation.facts is not None and workspace.was_sent(observation.facts.source)
    state = _execute(run, workspace, observation, operation)
    return SyncReport(plan, state, is_held_back=state == "skipped" and not has_source)


def _execute(run: Run, workspace: Workspace, observation: Observation, operation: SendSource) -> str:
    assert observation.host
    assert observation.facts
    state = workspace.send(observation.host, observation.stack, observation.facts, force=operation.force)
    if state in ("new", "moved"):
        history.note(
            run.project, run.output, run.performer, "sync", [StackResult(observation.stack, observation.address, state)]
        )
    return state


def _observe(stacks: Mapping[str, Host], connections: HostConnections, name: str | None) -> Observation:
    """Observe the host of a stack. Raises NoAnswer, and the errors of `running`."""
    name, target = running(stacks, name)
    result = ask(connections, target, host.facts(connections.scripts, name), timeout=LOOKING)
    facts = answers.facts(result.output)
    if facts is None:
        raise NoAnswer(target.name, f"could not inspect the host: {last_line(result.tail())}", hint=ASKED)
    return Observation(name, target, facts)
