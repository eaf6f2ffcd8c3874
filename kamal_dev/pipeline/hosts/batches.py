"""Start with a few stacks, and continue with the others only if few enough of them failed. Talks to no host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kamal_dev.config.settings import Deploy
from kamal_dev.errors import DevError, HostError
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.prepare import PreparedHost
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.shell.fanout import Background

Hosts = list[PreparedHost | StackResult]


def in_batches(
    settings: Deploy, output: Output, hosts: Hosts, bring_up: Callable[[Hosts], list[StackResult]]
) -> list[StackResult]:
    """Deploy the first `deploy.batch` stacks, then all others at once.

    If more than `deploy.max_failures` of the first stacks fail, the others are `skipped`. With `deploy.rollback:
    all`, a single failure is enough to skip them.
    """
    are_one = settings.rollback == "all"
    lost = [host.stack for host in hosts if isinstance(host, StackResult)]
    if lost and are_one:
        return _skip(output, hosts, f"skipped: {', '.join(lost)} failed, and {ALL}")
    first = hosts[: size(settings.batch, len(hosts))]
    rest = hosts[len(first) :]
    if not rest:
        return bring_up(first)
    output.info(f"First batch: {', '.join(host.stack for host in first)}; then {len(rest)} more")
    outcomes = bring_up(first)
    failures = sum(not outcome.is_fine for outcome in outcomes)
    if failures <= (0 if are_one else settings.max_failures):
        return [*outcomes, *bring_up(rest)]
    return [*outcomes, *_skip(output, rest, f"skipped: {failures} of {len(first)} failed in the first batch")]


def size(batch: str, count: int) -> int:
    """Return how many of `count` stacks form the first batch: a number, or a share (`25%`) rounded down, at least 1."""
    if not batch:
        return count
    return max(1, count * int(batch[:-1]) // 100) if batch.endswith("%") else int(batch)


def _skip(output: Output, hosts: Hosts, reason: str) -> list[StackResult]:
    skipped = [host.stack for host in hosts if isinstance(host, PreparedHost)]
    if skipped:
        output.warn(f"{', '.join(skipped)}: {reason}")
    return [host if isinstance(host, StackResult) else _skipped(host, reason) for host in hosts]


def _skipped(ready: PreparedHost, reason: str) -> StackResult:
    release, containers = ready.facts.release, ready.facts.containers
    is_up = any(container.started for container in containers)
    error = HostError(ready.host.name, reason, hint=HINT, left_behind="images; running containers were not changed")
    return StackResult(
        ready.stack,
        ready.host.address,
        "skipped",
        running=release.version if release and is_up else "",
        containers=containers,
        error=error,
    )


ALL = "`deploy.rollback` is `all`"
HINT = "fix the failed stack and deploy again"


def _address(item: PreparedHost | StackResult) -> str:
    return item.address if isinstance(item, StackResult) else item.host.address


@contextmanager
def reporting_hosts(creating: tuple[str, ...], hosts: Background[list[PreparedHost | StackResult]]) -> Iterator[None]:
    """Build images while `hosts` are prepared; if the build fails, wait for the hosts and report their state."""
    try:
        yield
    except DevError as error:
        for other in dict.fromkeys(_failures(hosts)):
            error.message += f"\nat the same time: {other.message}"
            error.hint = "; ".join(dict.fromkeys(filter(None, (error.hint, other.hint))))
        error.left_behind = "; ".join(filter(None, (error.left_behind, *_created(creating, hosts), *_sent(hosts))))
        raise


def _failures(hosts: Background[list[PreparedHost | StackResult]]) -> list[DevError]:
    try:
        return [item.error for item in hosts.result() if isinstance(item, StackResult) and item.error]
    except DevError as error:
        return [error]


def _sent(hosts: Background[list[PreparedHost | StackResult]]) -> Iterator[str]:
    """Say which workspaces received the source although their release is not applied."""
    with suppress(DevError):
        prepared = [item for item in hosts.result() if isinstance(item, PreparedHost)]
        if stacks := [item.stack for item in prepared if item.source in ("new", "moved")]:
            which = "the workspace" if len(stacks) == 1 else "the workspaces"
            yield f"{which} of {', '.join(stacks)} already received the new source"


def _created(creating: tuple[str, ...], hosts: Background[list[PreparedHost | StackResult]]) -> Iterator[str]:
    """Say which hosts were created, and what became of the others."""
    try:
        outcomes = [item for item in hosts.result() if item.stack in creating]
    except DevError as error:
        yield error.left_behind
        return
    if created := [item.stack for item in outcomes if _address(item)]:
        verb = "was" if len(created) == 1 else "were"
        yield f"{', '.join(created)} {verb} created; the next deploy uses them"
    for item in outcomes:
        if isinstance(item, StackResult) and item.error and not item.address:
            yield item.error.left_behind
