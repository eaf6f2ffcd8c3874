"""Hosts listed in config/dev.yml, created by somebody else. Creates and destroys none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamal_dev.config.settings import MAX_COUNT
from kamal_dev.errors import DevError, ProviderError
from kamal_dev.model import Host, stack_name
from kamal_dev.plan.placement import HostContents

if TYPE_CHECKING:
    from kamal_dev.config import Config
    from kamal_dev.output import Output
    from kamal_dev.providers import Agree


MORE = "add hosts to the list, or lower `--count` (or `vms.count`)"
SHARE = "named stacks share hosts: set `placement.per_host` to 2 or more"


class StaticProvider:
    """Assign hosts to stacks by position: the n-th stack runs on the n-th host, if a host takes only one."""

    def __init__(self, config: Config, *, directory: Path, output: Output, **_: Any) -> None:
        self._config = config
        self._root = directory.parent.parent
        self._output = output
        self._machines = tuple(map(self._machine, config.provider["hosts"]))
        names = (stack_name(config.service, index, config.naming) for index in range(1, len(self._machines) + 1))
        self._hosts = {name: replace(machine, name=name) for name, machine in zip(names, self._machines, strict=True)}

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse more names than the hosts take."""
        room = len(self._machines) * self._config.placement.per_host
        missing = names[room:] if self.machines() else [name for name in names if name not in self._hosts]
        if missing:
            listed = f"{len(self._hosts)} host{'' if len(self._hosts) == 1 else 's'}"
            of_each = f", with up to {self._config.placement.per_host} stacks each" if self.machines() else ""
            raise ProviderError(
                f"{self._config.path}: provider.hosts lists {listed}{of_each}: there is none for {', '.join(missing)}",
                hint=MORE if all(map(self._is_numbered, missing)) else SHARE,
            )

    def _is_numbered(self, name: str) -> bool:
        numbers = range(1, MAX_COUNT + 1)
        return name in (stack_name(self._config.service, index, self._config.naming) for index in numbers)

    def ensure(self, names: tuple[str, ...]) -> dict[str, Host | DevError]:
        """Return the hosts of these stacks, whether they answer or not."""
        self.check(names)
        return {name: self._hosts[name] for name in names}

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return every listed host with the stack at its position."""
        return tuple(self._hosts.items())

    def machines(self) -> tuple[Host, ...]:
        """Return the listed hosts if they take several stacks."""
        return self._machines if self._config.placement.per_host > 1 else ()

    def creatable(self) -> tuple[HostContents, ...]:
        """Return none: these hosts are what they are."""
        return ()

    def make_room(self, count: int, agree: Agree) -> None:
        """Do nothing: no host is created."""

    def inventory(self) -> dict[str, HostContents]:
        """Return nothing: only the hosts know what they have."""
        return {}

    def registrar(self) -> None:
        """Return none: the hosts keep claims."""

    def record(self, stacks: Mapping[str, Host], answered: Collection[str]) -> None:
        """Do nothing: nobody else knows which stacks a host has."""

    def capacity(self) -> None:
        """Return nothing: these hosts are what they are."""

    def destroy(self, names: tuple[str, ...]) -> None:
        """Report that the hosts stay, because they are not ours."""
        kept = [] if self.machines() else [host.name for host in self._hosts.values() if host.name in names]
        if kept:
            self._output.info(f"Kept {', '.join(kept)}: the static provider destroys no hosts", phase="removing")

    def _machine(self, listed: Mapping[str, Any]) -> Host:
        """Complete an entry from the `ssh` section; what both leave out is left to ~/.ssh/config."""
        ssh = self._config.ssh
        address, port = listed["address"], listed["port"] or ssh.port
        return Host(
            name=address if port in (0, 22) else f"{address}:{port}",
            address=address,
            user=listed["user"] or ssh.user,
            port=port,
            keys=tuple(self._root / Path(key).expanduser() for key in listed["keys"] or ssh.keys),
            proxy_jump=listed["proxy_jump"] or ssh.proxy_jump,
        )
