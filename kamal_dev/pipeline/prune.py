"""The story of `dev prune`: remove what deploys have left over on the hosts, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kamal_dev.commands import answers, events, host
from kamal_dev.commands.events import Leftover
from kamal_dev.errors import DevError, HostError, HostUnreachable, SomeHostsFailed
from kamal_dev.model import Host, Step
from kamal_dev.output.failure import Failure
from kamal_dev.output.summary import LeftoverSummary, RunSummary, StackSummary, taken
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.scripts import ask
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.names import of_project
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.prune import Leftovers, size
from kamal_dev.plan.prune import prune as plan_prune
from kamal_dev.shell.fanout import each

HEAD = ("STACK", "KIND", "NAME", "SIZE")
PRUNING = 900.0


@dataclass(frozen=True)
class Pruned(Leftovers):
    """Say, too, how much that is, and how it ended."""

    @property
    def bytes(self) -> int:
        """What goes, or went, with it all."""
        return sum(piece.bytes for piece in self.pieces if piece.ok)

    def result(self) -> StackSummary:
        """Return it for `--json`."""
        return StackSummary(
            self.stack,
            self.host.address,
            "failed" if self.error else "pruned",
            self.error is None,
            leftovers=tuple(taken(LeftoverSummary, leftover) for leftover in self.pieces),
            error=Failure.of(self.error) if self.error else None,
        )


def prune(
    run: Run, name: str | None, *, dry_run: bool, agree: Callable[[list[Pruned]], bool] | None = None
) -> list[Pruned]:
    """Remove what is left over of every stack of this project, or of the one of this name.

    In a `dry_run`, only looks. `agree` is shown what would go, and asked.
    """
    targets = of_project(run.stacks.items(), run.project, name)
    if dry_run or agree:
        found = _on_all(run, targets, dry_run=True)
        if dry_run or plan_prune(found).is_empty:
            return found
        if agree and not agree(found):
            raise KeyboardInterrupt
    found = _on_all(run, targets, dry_run=False)
    changed = [pruned for pruned in found if pruned.pieces]
    if changed:
        history.note(run, "prune", [_outcome(pruned) for pruned in changed])
    return found


def _outcome(pruned: Pruned) -> StackResult:
    state = "failed" if pruned.error else "pruned"
    return StackResult(pruned.stack, pruned.host.address, state, error=pruned.error)


def _on_all(run: Run, targets: dict[str, Host], *, dry_run: bool) -> list[Pruned]:
    found = each(targets.items(), lambda item: _prune(run, *item, dry_run), limit=run.limit)
    return [pruned for pruned in found if isinstance(pruned, Pruned)]


def _prune(run: Run, stack: str, target: Host, dry_run: bool) -> Pruned:
    if not target.address:
        return Pruned(stack, target, error=HostUnreachable(target.name, "the host is not running or does not answer"))
    if not dry_run:
        run.output.start("pruning", "", target)
    try:
        retain = run.project.config.retain
        step = host.prune(
            run.scripts, stack, run.project.repositories, retain=retain, dry_run=dry_run, performer=run.performer
        )
        told, leftovers = _told(run, target, stack, step)
    except DevError as error:
        return Pruned(stack, target, error=error)
    return Pruned(stack, target, leftovers, None if told else HostError(target.name, told.reason))


def _told(run: Run, target: Host, stack: str, step: Step) -> tuple[events.ScriptResult, tuple[Leftover, ...]]:
    """Return how it ended and what it was about, once nobody else changes the stack."""
    outputs = []

    def attempt() -> events.ScriptResult:
        outputs.append(ask(run, target, step, timeout=PRUNING).output)
        return answers.outcome(outputs[-1])

    return in_turn(run, target, stack, attempt), answers.leftovers(outputs[-1])


def rows(pruned: Pruned) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a stack for the table; one that says why where it is not known."""
    for leftover in pruned.pieces:
        kept = "" if leftover.ok else f" (stays: {leftover.reason})"
        yield (pruned.stack, leftover.kind, leftover.name, f"{size(leftover.bytes)}{kept}")
    if pruned.error:
        yield (pruned.stack, "-", "-", pruned.error.message)


def summary(found: list[Pruned], *, dry_run: bool) -> str:
    """Say how much goes or went."""
    total = sum(pruned.bytes for pruned in found)
    pieces = sum(leftover.ok for pruned in found for leftover in pruned.pieces)
    if not pieces and any(pruned.error for pruned in found):
        return "Could not check for leftovers" if dry_run else "Nothing was removed"
    if not pieces:
        return "Nothing to remove"
    return f"{'Would remove' if dry_run else 'Removed'} {pieces} piece{'' if pieces == 1 else 's'}, {size(total)}"


def failure(found: list[Pruned]) -> DevError | None:
    """Return the sum of what went wrong, or None."""
    failed = [pruned.stack for pruned in found if pruned.error]
    return SomeHostsFailed(f"could not check or remove everything: {', '.join(failed)}") if failed else None


def result(found: list[Pruned]) -> RunSummary:
    """Return what `--json` ends with."""
    error = failure(found)
    return RunSummary(
        "prune",
        ok=error is None,
        exit_code=error.exit_code if error else 0,
        stacks=tuple(pruned.result() for pruned in found),
        error=Failure.of(error) if error else None,
    )
