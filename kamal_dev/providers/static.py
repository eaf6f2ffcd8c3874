"""Hosts that somebody else made, listed in config/dev.yml. Makes and destroys none."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamal_dev.errors import ProviderError
from kamal_dev.model import Host, stack_name

if TYPE_CHECKING:
    from kamal_dev.config import Config
    from kamal_dev.config.provider import StaticHost
    from kamal_dev.providers import Say


class Static:
    """Give each stack the host at its place in the list: the n-th stack runs on the n-th host."""

    def __init__(self, config: Config, *, directory: Path, say: Say, **_: Any) -> None:
        self._config = config
        self._root = directory.parent.parent
        self._say = say
        names = (stack_name(config.service, index, config.naming) for index in range(1, len(self._listed) + 1))
        self._hosts = {name: self._host(name, listed) for name, listed in zip(names, self._listed, strict=True)}

    def check(self, names: tuple[str, ...]) -> None:
        """Refuse more names than there are hosts."""
        missing = [name for name in names if name not in self._hosts]
        if missing:
            count = f"{len(self._hosts)} host{'' if len(self._hosts) == 1 else 's'}"
            raise ProviderError(
                f"{self._config.path}: provider.hosts lists {count}: there is none for {', '.join(missing)}",
                hint="add hosts to the list, or lower `--count` (or `vms.count`)",
            )

    def ensure(self, names: tuple[str, ...]) -> tuple[Host, ...]:
        """Return the hosts of these stacks, whether they answer or not."""
        self.check(names)
        return tuple(self._hosts[name] for name in names)

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return every listed host with the stack at its place."""
        return tuple(self._hosts.items())

    def list(self) -> tuple[Host, ...]:
        """Return every listed host, in order."""
        return tuple(self._hosts.values())

    def destroy(self, names: tuple[str, ...]) -> None:
        """Say that the hosts stay: they are not ours."""
        kept = [host.name for name, host in self._hosts.items() if name in names]
        if kept:
            self._say(f"Kept {', '.join(kept)}: hosts of the static provider are not destroyed")

    @property
    def _listed(self) -> tuple[StaticHost, ...]:
        return tuple(self._config.provider["hosts"])

    def _host(self, stack: str, listed: StaticHost) -> Host:
        """Complete an entry from the `ssh` section; what both leave out is left to ~/.ssh/config."""
        ssh = self._config.ssh
        return Host(
            name=stack,
            address=listed.address,
            user=listed.user or ssh.user,
            port=listed.port or ssh.port,
            keys=tuple(self._root / Path(key).expanduser() for key in listed.keys or ssh.keys),
            proxy_jump=listed.proxy_jump or ssh.proxy_jump,
        )
