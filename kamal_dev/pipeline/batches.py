"""Begin with a few stacks, and go on with the others only where few enough of those failed. Talks to no host."""

from __future__ import annotations

from collections.abc import Callable

from kamal_dev.errors import HostError
from kamal_dev.pipeline.prepare import Ready
from kamal_dev.pipeline.report import Outcome
from kamal_dev.pipeline.run import Run

Hosts = list[Ready | Outcome]


def in_batches(run: Run, hosts: Hosts, bring_up: Callable[[Hosts], list[Outcome]]) -> list[Outcome]:
    """Bring up the first `deploy.batch` stacks, then all others at once.

    With more failures among the first than `deploy.max_failures`, the others are left
    as they are: `skipped`.
    """
    settings = run.project.config.deploy
    first = hosts[: size(settings.batch, len(hosts))]
    rest = hosts[len(first) :]
    if not rest:
        return bring_up(first)
    run.output.note(f"First batch: {', '.join(host.stack for host in first)}; then {len(rest)} more")
    outcomes = bring_up(first)
    failures = sum(not outcome.is_fine for outcome in outcomes)
    if failures <= settings.max_failures:
        return [*outcomes, *bring_up(rest)]
    reason = f"not begun: {failures} of {len(first)} failed in the first batch"
    skipped = [host if isinstance(host, Outcome) else _skipped(host, reason) for host in rest]
    run.output.warn(f"{', '.join(outcome.stack for outcome in skipped)}: {reason}")
    return [*outcomes, *skipped]


def size(batch: str, count: int) -> int:
    """Return how many of `count` stacks come first: a number, or a share (`25%`) rounded down, but never none."""
    if not batch:
        return count
    return max(1, count * int(batch[:-1]) // 100) if batch.endswith("%") else int(batch)


def _skipped(ready: Ready, reason: str) -> Outcome:
    release = ready.facts.release
    error = HostError(ready.host.name, reason, hint=HINT, left_behind="images; what runs there was left as it is")
    return Outcome(
        ready.stack,
        ready.host.address,
        "skipped",
        running=release.version if release else "",
        containers=ready.facts.containers,
        error=error,
    )


HINT = "mend what failed in the first batch and deploy again; `deploy.max_failures` says how many may fail"
