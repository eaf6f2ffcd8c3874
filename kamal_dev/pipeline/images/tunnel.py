"""Lend hosts the registry of this machine: one tunnel per host, for as long as the run lasts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from kamal_dev.commands import events
from kamal_dev.errors import HostError
from kamal_dev.model import Host
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project
from kamal_dev.shell.fanout import Background
from kamal_dev.shell.remote_forward import Tunnel
from kamal_dev.shell.way import Way


class RegistryTunnel:
    """Open the way from a host to `localhost:PORT` here, once; does nothing where the registry is another."""

    def __init__(self, project: Project, tools: LocalTools, way: Callable[[Host], Way], *, is_wanted: bool) -> None:
        self._tools = tools
        self._way = way
        self._port = project.config.registry.port
        self._is_wanted = is_wanted and project.config.registry.is_local
        self._begun: dict[str, Background[bool]] = {}
        self._tunnels: dict[str, Tunnel] = {}

    def begin(self, target: Host) -> None:
        """Open it beside the caller, for a host that will pull."""
        if self._is_wanted:
            self._begun[target.name] = Background(lambda: self._enter(target))

    def open(self, target: Host) -> None:
        """Return once it is open. Raises HostError where the host's port is taken or ssh fails."""
        if not self._is_wanted or self._is_open(target):
            return
        # What was begun early may have failed because nobody had met the host yet; by now it is known.
        begun = self._begun.pop(target.name, None)
        with suppress(HostError):
            if begun and begun.result() and self._is_open(target):
                return
        self._enter(target)

    def lent(self, target: Host, change: Callable[[], events.ScriptResult]) -> events.ScriptResult:
        """Make a change with the registry lent to the host; another run of `dev` may be lending it already.

        A tunnel ends with its run, or with its connection. A pull that failed because the tunnel ended is tried again
        through a new one; if that cannot be opened, the failure of the pull is reported. Raises HostError if no
        tunnel could be opened at all.
        """
        was_open = True
        try:
            self.open(target)
        except HostError as error:
            was_open = False
            self._tools.output.info(f"{error.message}; another `dev` may be forwarding it", target)
        outcome = change()
        if outcome.phase != "pull" or not self._is_wanted or self._is_open(target):
            return outcome
        if was_open:
            self._tools.output.info("the connection to the local registry was lost; reconnecting", target)
        try:
            self.open(target)
        except HostError as error:
            if not was_open:
                raise
            self._tools.output.info(f"{error.message}; {error.hint}", target)
            return outcome
        return change()

    def _is_open(self, target: Host) -> bool:
        tunnel = self._tunnels.get(target.name)
        return tunnel is not None and tunnel.is_open

    def _enter(self, target: Host) -> bool:
        tunnel = Tunnel(self._way(target), self._port, self._tools.output.step)
        self._tools.resources.callback(tunnel.close)
        self._tunnels[target.name] = tunnel
        return True
