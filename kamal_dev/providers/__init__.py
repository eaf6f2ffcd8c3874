"""Create, find and destroy hosts. One file per provider; hosts are identified by name.

To add a provider, add a file here and a row in PROVIDERS of config/provider.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kamal_dev.config.provider import PROVIDERS
from kamal_dev.errors import ConfigError, DevError, Problem
from kamal_dev.model import Host
from kamal_dev.plan.placement import HostContents
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass

if TYPE_CHECKING:
    from kamal_dev.commands.payload import Scripts
    from kamal_dev.config import Config
    from kamal_dev.output import Output

Agree = Callable[[str], bool]


@dataclass(frozen=True)
class Capacity:
    """Hold the most that a host can have; `memory` and `disk` are bytes."""

    cpus: int
    memory: int
    disk: int
    gpu: bool = False


class Provider(Protocol):
    """Create, find and destroy hosts. Names are those of the stacks; every method may be called repeatedly."""

    def check(self, names: tuple[str, ...]) -> None:
        """Raise ProviderError if `ensure` could not succeed; changes nothing."""
        ...

    def make_room(self, count: int, agree: Agree) -> None:
        """Raise ProviderError if there is no room for `count` more hosts; comes before anything is built.

        A limit of this machine is only changed after a question, if `agree` returns true.
        """
        ...

    def ensure(self, names: tuple[str, ...]) -> Mapping[str, Host | DevError]:
        """Return for each name its host, or why it has none; existing hosts are found, not created twice.

        Raises ProviderError if it cannot tell anything about any of them.
        """
        ...

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return every existing host with the name of its stack; a host that is switched off has no address."""
        ...

    def machines(self) -> tuple[Host, ...]:
        """Return the hosts that stacks are placed on, named after their addresses; none if each stack has its own.

        `stacks` is not used then: only the hosts know which stacks they have. One that is switched off has no address;
        `ensure` takes the names of `machines` and of those that are `creatable`.
        """
        ...

    def creatable(self) -> Iterable[HostContents]:
        """Return the hosts, one after another, that `ensure` would create for stacks that `machines` have no room for.

        Only asked if stacks share hosts that a provider creates.
        """
        ...

    def inventory(self) -> Mapping[str, HostContents]:
        """Return what the provider knows about `machines` without asking them, by their names; most know nothing."""
        ...

    def registrar(self) -> Host | None:
        """Return the host that keeps the claims of names for all machines; None if the machines keep them."""
        ...

    def record(self, stacks: Mapping[str, Host], answered: Collection[str]) -> None:
        """Make visible which machine each stack of the project is on, if the provider can; raises ProviderError.

        `answered` are the names of the machines all of whose stacks of the project are in `stacks`.
        """
        ...

    def capacity(self) -> Capacity | None:
        """Return the largest size of a new host; None if only the host itself can tell."""
        ...

    def destroy(self, names: tuple[str, ...]) -> None:
        """Destroy the hosts with these names and their disks, or what `record` did; unknown names are ignored."""
        ...


def make(
    config: Config,
    *,
    shell: Shell,
    directory: Path,
    output: Output,
    project: str = "",
    remote: Callable[[Host], Shell] | None = None,
    scripts: Scripts | None = None,
) -> Provider:
    """Return the provider named by `provider.type`.

    `directory` is the project's private folder (`.kamal/local`); `project` tells the hosts of projects on the same
    engine apart, and defaults to the project's folder. `remote` connects to a host, `scripts` are those that run
    there. Raises ConfigError for an unknown type.
    """
    name = config.provider.type
    if name not in PROVIDERS:
        known = ", ".join(f"`{known}`" for known in PROVIDERS)
        raise ConfigError(Problem(config.path, 0, f"`{name}` is not one of {known}", "provider.type"))
    provider = getattr(import_module(f"{__name__}.{name}"), PROVIDERS[name].implementation)
    made: Provider = provider(
        config, shell=shell, directory=directory, output=output, project=project, remote=remote, scripts=scripts
    )
    return made
