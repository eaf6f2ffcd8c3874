"""The story of `dev forward`: open ports of a stack on this machine, and keep them open."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from typing import Any

from kamal_dev import devcontainer
from kamal_dev.commands import answers, host
from kamal_dev.devcontainer.forwarding import Port
from kamal_dev.errors import DevError, HostError, UsageError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.stack_projects import projects
from kamal_dev.pipeline.hosts.target import described, find, one
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from kamal_dev.shell import local_forward as shell
from kamal_dev.shell import openssh
from kamal_dev.shell.frame import Frame
from kamal_dev.values import dataclass

HEAD = ("LOCAL", "REMOTE", "LABEL")
PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
LOWEST, LIFT = 1024, 8000
Opened = Callable[[tuple[Port, ...]], None]


def forward(run: Run, name: str | None, flags: tuple[str, ...], opened: Opened) -> None:
    """Keep the ports open until interrupted; `opened` is called once with the open ports.

    Raises UsageError and DevcontainerError for ports that are invalid or in use, and HostError if they cannot be
    opened. A connection lost later is opened again.
    """
    name, target = one(run.stacks, name, run.project.config.service)
    project = projects(run.project, run.connections, {name: target})[name]
    described_by = described(project, find(project, run.connections, name, target))
    ports = local(wanted(described_by, flags), shell.is_free)
    for port in ports:
        if port.local != port.wanted:
            run.output.warn(f"port {port.wanted} is in use on this machine: {port.port.shown} is at {port.local}")
    forwarded = tuple(replace(port.port, local=port.local) for port in ports)
    Link(project, run.connections, name, target, forwarded, opened).keep()


def wanted(configuration: devcontainer.Devcontainer, flags: Iterable[str]) -> tuple[Port, ...]:
    """Return the ports of devcontainer.json and of the flags; a flag wins. Raises UsageError if there are none."""
    given = tuple(dict.fromkeys(devcontainer.forwarding.flagged(configuration, flag) for flag in flags))
    targets = {port.target for port in given}
    ports = (*(port for port in devcontainer.forwarding.forwarded(configuration) if port.target not in targets), *given)
    if not ports:
        raise UsageError(
            f"there is nothing to forward: {configuration.display} has no ports",
            hint="add one to `forwardPorts`, or use `--port 3000`",
        )
    return ports


@dataclass(frozen=True)
class LocalEnd:
    """Hold the local port of a forwarded port, and the local port that was requested."""

    port: Port
    wanted: int
    local: int


def local(ports: Iterable[Port], is_free: Callable[[int], bool]) -> tuple[LocalEnd, ...]:
    """Assign a local port to each port: the requested one, or the next free one. Raises UsageError.

    Ports that require their own number choose first.
    """
    ports = tuple(ports)
    taken: dict[int, int] = {}
    for index, port in sorted(enumerate(ports), key=lambda numbered: not numbered[1].is_exact):
        candidates = (port.local,) if port.is_exact else _candidates(port.local)
        free = (number for number in candidates if number not in taken.values() and is_free(number))
        chosen = next(free, None)
        if chosen is None:
            by = "used twice" if port.local in taken.values() else "in use on this machine"
            raise UsageError(
                f"port {port.local} is {by}, but required for {port.shown}",
                hint=f"stop the program that uses it, or choose another port: `--port LOCAL:{port.shown}`",
            )
        taken[index] = chosen
    return tuple(LocalEnd(port, port.local, taken[index]) for index, port in enumerate(ports))


def _candidates(port: int) -> Iterable[int]:
    # Ports below 1024 need root: 80 becomes 8080, 443 becomes 8443.
    start = port if port >= LOWEST else port + LIFT
    return (port, *range(start, 65536))


def as_json(ports: Iterable[Port]) -> list[dict[str, Any]]:
    """Return the ports for `--json`."""
    return [{**asdict(port), "address": address(port)} for port in ports]


def address(port: Port) -> str:
    """Return the local address of a port: a URL if its protocol is known."""
    scheme = f"{port.protocol}://" if port.protocol else ""
    return f"{scheme}127.0.0.1:{port.local}"


class Link:
    """Keep one ssh with all forwards open; the container is looked up each time, because a deploy may recreate it."""

    def __init__(
        self,
        project: Project,
        connections: HostConnections,
        name: str,
        target: Host,
        ports: tuple[Port, ...],
        opened: Opened,
    ) -> None:
        self._project = project
        self._connections = connections
        self._name = name
        self._target = target
        self._ports = ports
        self._opened = opened
        self._was_open = False
        self._failures = 0
        self._complaints: list[str] = []

    def keep(self) -> None:
        """Open the ports, and reopen them when the connection is lost. Raises HostError if they never opened."""
        while True:
            problem = ""
            try:
                problem = self._hold()
            except DevError as error:
                if not self._was_open:
                    raise
                problem = error.message
            if not self._was_open:
                raise self._failure(problem)
            if self._failures == 0:
                self._connections.output.info("Connection lost; reconnecting", self._name, phase="forwarding")
            time.sleep(PAUSES[min(self._failures, len(PAUSES) - 1)])
            self._failures += 1

    def _hold(self) -> str:
        connections, target = self._connections, self._target
        self._complaints.clear()
        place = find(self._project, connections, self._name, target)
        directory = f"/tmp/kamal-dev-forward.{secrets.token_hex(8)}"  # noqa: S108 # made 0700, and there for nobody else
        targets = [port.target for port in self._ports]
        command = host.forward(connections.scripts, directory, place.id, place.pid, place.image, targets)
        forwards = [
            word
            for index, port in enumerate(self._ports)
            for word in ("-L", f"127.0.0.1:{port.local}:{directory}/{index}")
        ]
        mark = Frame.new()
        words = openssh.argv(connections.way(target), ("-T", *forwards), ("sh", "-c", mark.around(command)))
        log = connections.output.step
        return shell.hold(target.name, words, mark, on_ready=self._ready, on_line=self._complain, log=log)

    def _ready(self) -> None:
        if not self._was_open:
            self._opened(self._ports)
        elif self._failures:
            self._connections.output.info("Reconnected", self._name, phase="forwarding")
        self._was_open, self._failures = True, 0

    def _complain(self, line: str) -> None:
        if line and line not in self._complaints:
            self._complaints.append(line)
            if self._was_open:
                self._connections.output.line("forwarding", line, self._name)

    def _failure(self, output: str) -> HostError:
        result = answers.outcome(output)
        reason = result.reason if result.phase else (self._complaints or ["no output from ssh"])[-1]
        return HostError(
            self._name,
            f"could not open the ports: {reason}",
            hint="sshd on the host must allow forwarding: see `AllowTcpForwarding` and `AllowStreamLocalForwarding`",
        )
