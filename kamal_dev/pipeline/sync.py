"""The story of `dev sync`: what a deploy does for a workspace, alone and for one stack."""

from __future__ import annotations

from collections.abc import Callable

from kamal_dev.commands import answers, events, host
from kamal_dev.errors import HostError, UsageError
from kamal_dev.model import Host
from kamal_dev.output.summary import StackSummary
from kamal_dev.pipeline.hosts.prepare import refuse_foreign
from kamal_dev.pipeline.hosts.scripts import ask
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.images.engine import last_line
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run

LOOKING = 60.0


def sync(run: Run, name: str | None, *, force: bool, agree: Callable[[str], bool]) -> StackSummary:
    """Bring the workspace of a stack to the source; returns what became of it, its state as `Workspace.bring` has it.

    With `force`, what people did there is discarded; a backup stays. Raises UsageError where
    workspaces get no source, or there is no such stack.
    """
    kind = run.project.workspace_source
    if kind not in ("git", "sync"):
        raise UsageError(f"`workspace.source` is `{kind}`: nothing is sent to workspaces")
    name, target = running(run, name)
    facts = look(run, target, name)
    refuse_foreign(target, name, facts)
    if not facts.release and not facts.workspace:
        raise UsageError(f"{name} was not deployed yet", hint=f"`dev deploy {name}` brings the source, too")
    if force and not agree(f"Discard what was changed in the workspace of {name} (a backup stays there)?"):
        raise KeyboardInterrupt
    state = Workspace(run).bring(target, name, facts, force=force, ask=True)
    if state in ("new", "moved"):
        history.note(run, "sync", [StackResult(name, target.address, state)])
    if kind == "sync" and state == "left":
        run.output.info(f"the workspace has files; left as it is: `dev sync {name} --force` replaces them", target)
    return StackSummary(name, target.address, state, ok=True)


def look(run: Run, target: Host, name: str) -> events.Facts:
    """Ask the host what it has of a stack."""
    result = ask(run, target, host.facts(run.scripts, name), timeout=LOOKING)
    facts = answers.facts(result.output)
    if facts is None:
        raise HostError(target.name, f"the host could not be asked what it has: {last_line(result.tail())}")
    return facts
