"""The story of `dev prune`: find what deploys left behind on hosts, plan, ask, and remove only that."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from kamal_dev.commands import answers, events, host
from kamal_dev.commands.stacks import Leftover
from kamal_dev.errors import DevError, HostError, HostUnreachable, SomeHostsFailed
from kamal_dev.model import Host, Step
from kamal_dev.output.failure import Failure
from kamal_dev.output.summary import LeftoverSummary, RunSummary, StackSummary, taken
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.scripts import ask
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree, confirm_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import of_project
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.operation import PrunePiece
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.plan.prune import Leftovers, of_one_stack, size
from kamal_dev.plan.prune import prune as plan_prune
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

PRUNING = 900.0


@dataclass(frozen=True)
class PruneReport:
    """Hold the plan of a prune, and what was removed from each stack; in a `dry_run`, what would be."""

    plan: Plan
    stacks: tuple[Leftovers, ...]
    dry_run: bool = False

    def __str__(self) -> str:
        pieces = [piece for item in self.stacks for piece in item.pieces if piece.ok]
        is_known = not any(item.error for item in self.stacks)
        nothing = "Nothing to remove" if is_known else "Nothing was removed"
        if not self.dry_run:
            return f"Removed {_counted(pieces)}" if pieces else nothing
        if not pieces and is_known:
            return nothing
        return f"{self.plan}\n\n" + (f"Would remove {_counted(pieces)}" if pieces else "Could not check for leftovers")

    def error(self) -> DevError | None:
        """Return the sum of all failures, or None."""
        failed = [item.stack for item in self.stacks if item.error]
        return SomeHostsFailed(f"could not check or prune all hosts: {', '.join(failed)}") if failed else None

    def result(self) -> RunSummary:
        """Return the last line of `--json`."""
        error = self.error()
        return RunSummary(
            "prune",
            ok=error is None,
            exit_code=error.exit_code if error else 0,
            stacks=tuple(map(self._stack, self.stacks)),
            plan=self.plan.as_json(),
            error=Failure.of(error) if error else None,
        )

    def _stack(self, leftovers: Leftovers) -> StackSummary:
        planned = self.plan.of(leftovers.stack).state
        return StackSummary(
            leftovers.stack,
            leftovers.host.address,
            planned if self.dry_run or planned != "changes" else _state(leftovers),
            leftovers.error is None,
            leftovers=tuple(taken(LeftoverSummary, leftover) for leftover in leftovers.pieces),
            error=Failure.of(leftovers.error) if leftovers.error else None,
        )


def prune(run: Run, names: tuple[str, ...] = (), *, dry_run: bool, agree: Agree | None = None) -> PruneReport:
    """Remove the leftovers of every stack of this project, or of those that match `names`.

    With `dry_run`, nothing is removed. `agree` is asked after the plan was shown.
    """
    targets = of_project(run.stacks.items(), run.project, names)
    leftovers = _on_all(run.project, run.connections, targets)
    plan = plan_prune(leftovers)
    if dry_run:
        return PruneReport(plan, leftovers, dry_run=True)
    for item in leftovers:
        if item.error:
            run.output.fail("pruning", item.error, item.host)
    if plan.is_empty:
        return PruneReport(plan, leftovers)
    pieces = [piece for item in leftovers for piece in item.pieces if piece.ok]
    changes = tuple(item for item in plan.stacks if item.operations)
    confirm_plan(run.output, Plan(stacks=changes), f"Remove {_counted(pieces)}?", agree)
    return PruneReport(plan, _execute(run, targets, changes, leftovers))


def _execute(
    run: Run, targets: Mapping[str, Host], changes: tuple[StackPlan, ...], leftovers: tuple[Leftovers, ...]
) -> tuple[Leftovers, ...]:
    """Remove the pieces in the plan; return the result of each stack."""
    project, connections = run.project, run.connections
    ended = each(
        changes, lambda item: _remove(project, connections, targets[item.stack], item), limit=connections.limit
    )
    removed = {item.stack: item for item in ended if isinstance(item, Leftovers)}
    history.note(project, run.output, run.performer, "prune", [_outcome(item) for item in removed.values()])
    return tuple(removed.get(item.stack, item) for item in leftovers)


def _outcome(removed: Leftovers) -> StackResult:
    return StackResult(removed.stack, removed.host.address, _state(removed), error=removed.error)


def _state(removed: Leftovers) -> str:
    return "failed" if removed.error else "pruned"


def _on_all(project: Project, connections: HostConnections, targets: Mapping[str, Host]) -> tuple[Leftovers, ...]:
    outcomes = each(targets.items(), lambda item: _observe(project, connections, *item), limit=connections.limit)
    return of_one_stack(item for item in outcomes if isinstance(item, Leftovers))


def _observe(project: Project, connections: HostConnections, stack: str, target: Host) -> Leftovers:
    if not target.address:
        error = HostUnreachable(target.name, "the host is not running or not responding")
        return Leftovers(stack, target, error=error)
    return _leftovers(project, connections, stack, target)


def _remove(project: Project, connections: HostConnections, target: Host, plan: StackPlan) -> Leftovers:
    """Carry out the plan for one host, and report piece by piece."""
    started = time.monotonic()
    connections.output.start("pruning", "", target)
    pieces = tuple((item.kind, item.name) for item in plan.operations if isinstance(item, PrunePiece))
    removed = _leftovers(project, connections, plan.stack, target, pieces)
    for piece in removed.pieces:
        if not piece.ok:
            connections.output.warn(f"{piece.kind} {piece.name} was kept: {piece.reason}", target, phase="pruning")
    if removed.error:
        connections.output.fail("pruning", removed.error, target)
    else:
        connections.output.done("pruning", _counted(removed.pieces), target, seconds=time.monotonic() - started)
    return removed


def _leftovers(
    project: Project, connections: HostConnections, stack: str, target: Host, pieces: tuple[tuple[str, str], ...] = ()
) -> Leftovers:
    """Let a host remove these pieces, or list them."""
    try:
        step = host.prune(
            connections.scripts,
            stack,
            project.repositories,
            retain=project.config.retain,
            dry_run=not pieces,
            pieces=pieces,
            performer=connections.performer,
        )
        ended, leftovers = _ended(connections, target, stack, step)
    except DevError as error:
        return Leftovers(stack, target, error=error)
    return Leftovers(stack, target, leftovers, None if ended else HostError(target.name, ended.reason))


def _ended(
    connections: HostConnections, target: Host, stack: str, step: Step
) -> tuple[events.ScriptResult, tuple[Leftover, ...]]:
    """Return how it ended and for which pieces, once no other run is changing the stack."""
    outputs = []

    def attempt() -> events.ScriptResult:
        outputs.append(ask(connections, target, step, timeout=PRUNING).output)
        return answers.outcome(outputs[-1])

    return in_turn(connections, target, stack, attempt), answers.leftovers(outputs[-1])


def _counted(pieces: Sequence[Leftover]) -> str:
    count = len(pieces)
    return f"{count} piece{'' if count == 1 else 's'}, {size(sum(piece.bytes for piece in pieces))}"
