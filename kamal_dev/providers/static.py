"""Hosts that somebody else made, listed in config/dev.yml. Makes and destroys none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamal_dev.errors import ConfigError, Problem, ProviderError
from kamal_dev.model import Host, stack_name

if TYPE_CHECKING:
    from kamal_dev.config import Config
    from kamal_dev.providers import Say

ADDRESS = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?P<address>\[[0-9a-fA-F:.%\w]+\]|[^:@\s\[\]]+|[0-9a-fA-F:]+)(?::(?P<port>\d+))?"
)


class Static:
    """Give the listed hosts the names of the stacks, in the order of the list."""

    def __init__(self, config: Config, *, directory: Path, say: Say, **_: Any) -> None:
        self._config = config
        self._root = directory.parent.parent
        self._say = say
        self._hosts = {host.name: host for host in self._listed()}

    def ensure(self, names: tuple[str, ...]) -> tuple[Host, ...]:
        """Return the listed hosts of these names; raises ProviderError where the list is too short."""
        missing = [name for name in names if name not in self._hosts]
        if missing:
            listed = f"{len(self._hosts)} host{'' if len(self._hosts) == 1 else 's'}"
            raise ProviderError(
                f"{self._config.path}: provider.hosts lists {listed}; there is none for {', '.join(missing)}",
                hint="add hosts to the list, or lower `--count` (or `vms.count`)",
            )
        return tuple(self._hosts[name] for name in names)

    def list(self) -> tuple[Host, ...]:
        """Return every listed host, whether it answers or not."""
        return tuple(self._hosts.values())

    def destroy(self, names: tuple[str, ...]) -> None:
        """Say that the hosts stay: they are not ours."""
        kept = [name for name in names if name in self._hosts]
        if kept:
            self._say(f"Hosts of a static provider are kept: {', '.join(kept)}")

    def _listed(self) -> tuple[Host, ...]:
        entries = dict(self._config.provider.options).get("hosts") or ()
        return tuple(self._host(entry, index) for index, entry in enumerate(entries))

    def _host(self, entry: str | Mapping[str, Any], index: int) -> Host:
        """Complete one entry with the `ssh` section; what both leave out is left to ~/.ssh/config."""
        given = dict(entry) if isinstance(entry, Mapping) else {"address": entry}
        match = ADDRESS.fullmatch(str(given.get("address", "")))
        if not match:
            raise ConfigError(self._problem(index, f"{given} is not an address; write `user@address:port`"))
        ssh = self._config.ssh
        return Host(
            name=stack_name(self._config.service, index + 1, self._config.naming),
            address=match["address"].strip("[]"),
            user=given.get("user") or match["user"] or ssh.user,
            port=int(given.get("port") or match["port"] or ssh.port),
            keys=tuple(self._absolute(key) for key in given.get("keys") or ssh.keys),
            proxy_jump=given.get("proxy_jump") or ssh.proxy_jump,
        )

    def _absolute(self, key: str | Path) -> Path:
        return self._root / Path(key).expanduser()

    def _problem(self, index: int, message: str) -> Problem:
        key = f"provider.hosts[{index}]"
        where = self._config.where.get(key)
        return Problem(self._config.path, where.line if where else 0, message, key)
