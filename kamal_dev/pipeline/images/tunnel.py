"""Give hosts access to the registry of this machine: one tunnel per host, for as long as its connection lasts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from kamal_dev.commands import events
from kamal_dev.errors import HostError
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.project import Project
from kamal_dev.shell import Lender, Shell, Tunnel
from kamal_dev.shell.fanout import once


class RegistryTunnel:
    """Forward `localhost:PORT` on a host to the registry here; does nothing for any other registry."""

    def __init__(self, project: Project, output: Output, remote: Callable[[Host], Shell], *, is_wanted: bool) -> None:
        self._output = output
        self._remote = remote
        self._port = project.config.registry.port
        self._is_wanted = is_wanted and project.config.registry.is_local
        self._tunnels: dict[Host, Tunnel] = {}
        self._lock_of = once(lambda machine: threading.Lock())

    def open(self, target: Host) -> None:
        """Open the tunnel. Raises HostError if the host's port is taken or ssh fails."""
        if not self._is_wanted:
            return
        # The port of a host can be forwarded once, for all of its stacks.
        with self._lock_of(_machine(target)):
            if self._is_open(target):
                return
            shell = self._remote(target)
            assert isinstance(shell, Lender)
            self._tunnels[_machine(target)] = shell.lend(self._port)

    def lent(self, target: Host, change: Callable[[], events.ScriptResult]) -> events.ScriptResult:
        """Make a change that may pull through the tunnel; the tunnel of another `dev` run is used if it is open.

        A tunnel ends with its connection. A pull that failed because the tunnel ended is tried again through a new
        one; if that cannot be opened, the failure of the pull is reported. Raises HostError if no tunnel could be
        opened at all.
        """
        was_open = True
        try:
            self.open(target)
        except HostError as error:
            was_open = False
            self._output.info(f"{error.message}; another `dev` may be forwarding it", target)
        outcome = change()
        if outcome.phase != "pull" or not self._is_wanted or self._is_open(target):
            return outcome
        if was_open:
            self._output.info("the connection to the local registry was lost; reconnecting", target)
        try:
            self.open(target)
        except HostError as error:
            if not was_open:
                raise
            self._output.info(f"{error.message}; {error.hint}", target)
            return outcome
        return change()

    def _is_open(self, target: Host) -> bool:
        tunnel = self._tunnels.get(_machine(target))
        return tunnel is not None and tunnel.is_open


def _machine(target: Host) -> Host:
    return replace(target, name="")
