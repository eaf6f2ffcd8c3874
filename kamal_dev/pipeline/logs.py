"""The story of `dev logs`: read the containers of all hosts in parallel, and print lines sorted by time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from kamal_dev.commands.log_merge import LogMerge
from kamal_dev.commands.logs import LogLine, LogQuery
from kamal_dev.errors import SomeHostsFailed, UsageError
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.log_reading import HostLog
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import select
from kamal_dev.project import Project

TICK = 0.1  # seconds between two checks; followed lines are held back for two of them
PATIENCE = 5.0  # seconds that followed lines wait for a host that does not answer

Hosts = Callable[[], Mapping[str, Host]]
Show = Callable[[list[LogLine]], None]


def logs(
    project: Project, connections: HostConnections, hosts: Hosts, words: tuple[str, ...], query: LogQuery, show: Show
) -> None:
    """Print the logs of the stacks and services in `words` until they end; with `follow`, until interrupted.

    Raises UsageError for a word that is neither a stack nor a service, and SomeHostsFailed if a host did not answer.
    """
    stacks = hosts()
    services = [service.name for service in project.compose.services]
    select(query.services, (), services)
    chosen = select(words, stacks, services, project.config.service)
    query = replace(query, services=tuple(dict.fromkeys((*query.services, *chosen.services))))
    targets = {name: stacks[name] for name in chosen.stacks or stacks}
    if not targets:
        raise UsageError("there is no stack", hint="`dev deploy` creates one")
    on = {name: target for name, target in targets.items() if target.address}
    off = [name for name in targets if name not in on]
    for name in off:
        connections.output.warn("the host is not running or does not answer", name)
    reading = [HostLog(connections, group, query, hosts) for group in _by_host(on)]
    _print(reading, show, is_followed=query.follow)
    failed = _failed(connections.output, reading)
    if failed or off:
        raise SomeHostsFailed(f"no logs, or only a part of them, from {', '.join((*failed, *off))}")


def _by_host(targets: Mapping[str, Host]) -> Iterable[dict[str, Host]]:
    """Return the stacks by host, because each host has one connection."""
    groups: dict[tuple[str, int, str], dict[str, Host]] = {}
    for name, target in targets.items():
        groups.setdefault((target.address, target.port, target.user), {})[name] = target
    return groups.values()


def _print(reading: list[HostLog], show: Show, *, is_followed: bool) -> None:
    merge = LogMerge(log.reader for log in reading)
    began = time.monotonic()
    try:
        while True:
            is_over = all(log.is_done for log in reading)
            lines = [line for log in reading for line in log.lines()]
            is_late = is_followed and time.monotonic() - began > PATIENCE
            ended = [log.reader for log in reading if log.is_done or (is_late and not log.reader.is_listed)]
            if due := merge.due(lines, ended):
                show(due)
            if is_over:
                break
            time.sleep(TICK)
    finally:
        show(merge.rest())


def _failed(output: Output, reading: Iterable[HostLog]) -> list[str]:
    """Report the hosts that could not be read, and return their stacks."""
    failed = [log for log in reading if log.error]
    for log in failed:
        assert log.error
        output.fail("connecting", log.error, log.stacks[0])
    return [name for log in failed for name in log.stacks]
