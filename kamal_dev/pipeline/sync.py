"""The story of `dev sync`: what a deploy does for a workspace, alone and for one stack."""

from __future__ import annotations

from collections.abc import Callable

from kamal_dev.commands import answers, host
from kamal_dev.errors import NoAnswer, UsageError
from kamal_dev.output.summary import StackSummary
from kamal_dev.pipeline.hosts.observe import LOOKING
from kamal_dev.pipeline.hosts.scripts import ASKED, ask
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.images.engine import last_line
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import SendSource
from kamal_dev.plan.plan import Plan
from kamal_dev.plan.sync import sync as plan_sync


def sync(run: Run, name: str | None, *, force: bool, agree: Callable[[str], bool]) -> StackSummary:
    """Bring the workspace of a stack to the source; returns what became of it, its state as `Workspace.send` has it.

    With `force`, what people did there is discarded; a backup stays. Raises UsageError where
    workspaces get no source, or there is no such stack.
    """
    kind = run.project.workspace_source
    if kind not in ("git", "sync"):
        raise UsageError(f"`workspace.source` is `{kind}`: nothing is sent to workspaces")
    workspace = Workspace(run)
    workspace.read_ahead()
    seen = _observe(run, name)
    plan = plan_sync(seen, kind, workspace.folder, force=force)
    if force and not agree(f"Discard what was changed in the workspace of {seen.stack} (a backup stays there)?"):
        raise KeyboardInterrupt
    state = _execute(run, workspace, seen, plan)
    return StackSummary(seen.stack, seen.address, state, ok=True)


def _execute(run: Run, workspace: Workspace, seen: Observation, plan: Plan) -> str:
    found = plan.of(seen.stack)
    operation = found.first(SendSource)
    if operation is None:
        run.output.info(found.reason, seen.stack)
        return "left"
    assert seen.host
    assert seen.facts
    state = workspace.send(seen.host, seen.stack, seen.facts, force=operation.force)
    if state in ("new", "moved"):
        history.note(run, "sync", [StackResult(seen.stack, seen.address, state)])
    return state


def _observe(run: Run, name: str | None) -> Observation:
    """Ask the host of a stack what it has. Raises NoAnswer, and what `running` does."""
    name, target = running(run.stacks, name)
    result = ask(run, target, host.facts(run.scripts, name), timeout=LOOKING)
    facts = answers.facts(result.output)
    if facts is None:
        raise NoAnswer(target.name, f"could not inspect the host: {last_line(result.tail())}", hint=ASKED)
    return Observation(name, target, facts)
