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
    as they are: `skipped`. So are all where one failed before, if that would bring all back.
    """
    settings = run.project.config.deploy
    are_one = settings.rollback == "all"
    lost = [host.stack for host in hosts if isinstance(host, Outcome)]
    if lost and are_one:
        return _skip(run, hosts, f"not begun: {', '.join(lost)} failed, and {ALL}")
    first = hosts[: size(settings.batch, len(hosts))]
    rest = hosts[len(first) :]
    if not rest:
        return bring_up(first)
    run.output.note(f"First batch: {', '.join(host.stack for host in first)}; then {len(rest)} more")
    outcomes = bring_up(first)
    failures = sum(not outcome.is_fine for outcome in outcomes)
    if failures <= (0 if are_one else settings.max_failures):
        return [*outcomes, *bring_up(rest)]
    return [*outcomes, *_skip(run, rest, f"not begun: {failures} of {len(first)} failed in the first batch")]


def size(batch: str, count: int) -> int:
    """Return how many of `count` stacks come first: a number, or a share (`25%`) rounded down, but never none."""
    if not batch:
        return count
    return max(1, count * int(batch[:-1]) // 100) if batch.endswith("%") else int(batch)


def _skip(run: Run, hosts: Hosts, reason: str) -> list[Outcome]:
    left = [host.stack for host in hosts if isinstance(host, Ready)]
    if left:
        run.output.warn(f"{', '.join(left)}: {reason}")
    return [host if isinstance(host, Outcome) else _skipped(host, reason) for host in hosts]


def _skipped(ready: Ready, reason: str) -> Outcome:
    release, containers = ready.facts.release, ready.facts.containers
    is_up = any(container.state == "running" for container in containers)
    error = HostError(ready.host.name, reason, hint=HINT, left_behind="images; what runs there was left as it is")
    return Outcome(
        ready.stack,
        ready.host.address,
        "skipped",
        running=release.version if release and is_up else "",
        containers=containers,
        error=error,
    )


ALL = "`deploy.rollback` is `all`"
HINT = "mend what failed, and deploy again"
