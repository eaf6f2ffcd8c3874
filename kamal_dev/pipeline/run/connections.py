"""The connections to hosts, and the time limits of the work there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import field, replace
from typing import Any

from kamal_dev.commands.payload import Scripts
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.run.budget import HostBudget, LockBudget
from kamal_dev.shell import Shell
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import Way
from kamal_dev.values import dataclass

# A stack has up to two sessions at once, its host one more, and sshd allows ten in a connection (`MaxSessions`).
SHARING = 5


class HostShells:
    """Keep the connections to hosts until the run ends; a few stacks on one host share a connection."""

    def __init__(self) -> None:
        self.is_closing = False
        self._shells: dict[str, Shell] = {}
        self._hosts: dict[str, Host] = {}
        self._shared: dict[Host, list[Shell]] = {}
        self._open = ExitStack()
        self._lock = threading.Lock()

    def of(self, host: Host, trust: Trust, log: Callable[[str], None]) -> Shell:
        """Return the connection to a host; its first step opens it."""
        with self._lock:
            # A restarted host may have a new address.
            if self._hosts.get(host.name) != host:
                self._shells[host.name] = self._joined(host, trust, log)
                self._hosts[host.name] = host
            return self._shells[host.name]

    def _joined(self, host: Host, trust: Trust, log: Callable[[str], None]) -> Shell:
        """Return a connection that the host has room for, or a new one."""
        from kamal_dev.shell.remote import Remote

        users = self._shared.setdefault(replace(host, name=""), [])
        if len(users) % SHARING:
            users.append(users[-1])
        else:
            remote = Remote(host, trust, log=log)
            self._open.callback(remote.close)
            users.append(remote)
        return users[-1]

    @property
    def hosts(self) -> Iterable[Host]:
        """The hosts with a connection."""
        return tuple(self._hosts.values())

    def close(self) -> None:
        """Close every connection."""
        self.is_closing = True
        self._open.close()


@dataclass(frozen=True)
class HostConnections:
    """Reach hosts: the connection to each, the scripts that run there, and the time limits.

    `limit` is the number of hosts worked on at once. `performer` is the user as `user@machine`, for locks and audit
    logs. `manifests` are those of releases of named stacks that hosts have sent in this run.
    `machines` returns the hosts that share stacks.
    """

    remote: Callable[[Host], Shell]
    way: Callable[[Host], Way]
    is_closing: Callable[[], bool]
    scripts: Scripts
    output: Output
    performer: str
    limit: int
    budget: HostBudget = field(default_factory=HostBudget)
    lock_budget: LockBudget = field(default_factory=LockBudget)
    machines: Callable[[], tuple[Host, ...]] = tuple
    manifests: dict[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
