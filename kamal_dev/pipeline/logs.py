"""The story of `dev logs`: read the containers of all hosts in parallel, and print lines sorted by time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from kamal_dev.commands.logs import LogLine, LogQuery
from kamal_dev.errors import SomeHostsFailed, UsageError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.log_reading import HostLog, LogBuffer
from kamal_dev.pipeline.hosts.stack_projects import chosen, having, projects
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.project import Project
from kamal_dev.shell.fanout import Background

ENDING = 5.0  # seconds for printing the last lines
TICK = 0.1  # seconds between two checks; followed lines are held back for two of them
PATIENCE, LONG_PATIENCE = 5.0, 30.0  # seconds that lines wait for a host that does not answer: followed ones, others

Hosts = Callable[[], Mapping[str, Host]]
Show = Callable[[list[LogLine]], None]


def logs(
    project: Project, connections: HostConnections, hosts: Hosts, words: tuple[str, ...], query: LogQuery, show: Show
) -> None:
    """Print the logs of the stacks and services in `words` until they end; with `follow`, until interrupted.

    Raises UsageError for a word that is neither a stack nor a service, and SomeHostsFailed if a host did not answer.
    """
    stacks = hosts()
    known = projects(project, connections, stacks) if words or query.services else dict.fromkeys(stacks, project)
    selection = chosen(project, known, words, query.services)
    query = replace(query, services=selection.services)
    targets = {name: stacks[name] for name in selection.stacks or having(known, selection.services)}
    if not targets:
        raise UsageError("there is no stack", hint="`dev deploy` creates one")
    on = {name: target for name, target in targets.items() if target.address}
    off = [name for name in targets if name not in on]
    for name in off:
        connections.output.warn("the host is not running or does not answer", name, category="network")
    failed = LogPrinter(connections, show, query, hosts).print(_by_host(on))
    if failed or off:
        raise SomeHostsFailed(f"logs are missing or incomplete for {', '.join((*failed, *off))}")


def _by_host(targets: Mapping[str, Host]) -> Iterable[dict[str, Host]]:
    """Return the stacks by host, because each host has one connection."""
    groups: dict[tuple[str, int, str], dict[str, Host]] = {}
    for name, target in targets.items():
        groups.setdefault((target.address, target.port, target.user), {})[name] = target
    return groups.values()


class LogPrinter:
    """Print the lines of all hosts until they end, and report each host that fails when it does."""

    def __init__(self, connections: HostConnections, show: Show, query: LogQuery, hosts: Hosts) -> None:
        self._connections = connections
        self._output = connections.output
        self._show = show
        self._query = query
        self._hosts = hosts
        self._buffer = LogBuffer()
        self._patience = PATIENCE if query.follow else LONG_PATIENCE
        self._failed: list[HostLog] = []
        self._late: list[HostLog] = []
        self._is_over = threading.Event()

    def print(self, groups: Iterable[Mapping[str, Host]]) -> list[str]:
        """Return the stacks whose logs could not be read to the end."""
        reading = [HostLog(self._connections, group, self._query, self._hosts, self._buffer) for group in groups]
        for log in reading:
            log.begin()
        printing = Background(lambda: self._print(reading), name="printing logs")
        try:
            printing.result()
        finally:
            # Ctrl-C reaches the main thread only: it must not come between taking lines and printing them.
            self._is_over.set()
            printing.wait(ENDING)
        return [name for log in self._failed for name in log.stacks]

    def _print(self, reading: list[HostLog]) -> None:
        while self._tick(reading) and not self._is_over.wait(TICK):
            pass
        self._show(self._buffer.rest())

    def _tick(self, reading: list[HostLog]) -> bool:
        """Print what is due; return whether more lines may come."""
        done = [log for log in reading if log.is_done]
        late = [log for log in reading if log not in done and self._is_late(log)]
        if due := self._buffer.due(log.reader for log in (*done, *late)):
            self._show(due)
        for log in done:
            if log.error and log not in self._failed:
                self._failed.append(log)
                self._output.fail("connecting", log.error, log.target)
        return len(done) < len(reading)

    def _is_late(self, log: HostLog) -> bool:
        """Return whether the other hosts do not wait for this one any longer."""
        since = log.silent_since
        is_late = since is not None and time.monotonic() - since > self._patience
        if is_late and not log.is_reconnecting and log not in self._late:
            self._late.append(log)
            self._output.info("no answer yet; continuing with the other hosts", log.target, phase="connecting")
        return is_late
