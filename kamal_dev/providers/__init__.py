"""Make, find and destroy hosts. One file per provider; names decide identity.

A further provider is one file here and one row in PROVIDERS of config/provider.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kamal_dev.config.provider import PROVIDERS
from kamal_dev.errors import ConfigError, DevError, Problem
from kamal_dev.model import Host
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass

if TYPE_CHECKING:
    from kamal_dev.config import Config
    from kamal_dev.output import Output

Agree = Callable[[str], bool]


@dataclass(frozen=True)
class Capacity:
    """Hold what a host can have at most; `memory` and `disk` are bytes."""

    cpus: int
    memory: int
    disk: int
    gpu: bool = False


class Provider(Protocol):
    """Make, find and destroy hosts. Names are those of the stacks; all of this may be called again at any time."""

    def check(self, names: tuple[str, ...]) -> None:
        """Raise ProviderError where `ensure` could not succeed; changes nothing."""
        ...

    def make_room(self, count: int, agree: Agree) -> None:
        """Raise ProviderError where there is no room for `count` more hosts.

        What can be changed about that here is changed only where `agree` says so to a question.
        """
        ...

    def ensure(self, names: tuple[str, ...]) -> Mapping[str, Host | DevError]:
        """Return for each name its host, or why it has none; what exists is found, not created twice.

        Raises ProviderError where nothing can be said of any of them.
        """
        ...

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return every host that exists with the name of its stack; one that is switched off has no address."""
        ...

    def capacity(self) -> Capacity | None:
        """Return the most that a host created now can have; None if only the host itself can say."""
        ...

    def destroy(self, names: tuple[str, ...]) -> None:
        """Destroy the hosts of these names and their disks; unknown names are no error."""
        ...


def make(config: Config, *, shell: Shell, directory: Path, output: Output, project: str = "") -> Provider:
    """Return the provider that `provider.type` names.

    `directory` is the project's private folder (`.kamal/local`); `project` tells
    one project's hosts from another's on the same engine, and is the project's
    folder unless given. Raises ConfigError for an unknown type.
    """
    name = config.provider.type
    if name not in PROVIDERS:
        known = ", ".join(f"`{known}`" for known in PROVIDERS)
        raise ConfigError(Problem(config.path, 0, f"`{name}` is not one of {known}", "provider.type"))
    provider = getattr(import_module(f"{__name__}.{name}"), PROVIDERS[name].implementation)
    made: Provider = provider(config, shell=shell, directory=directory, output=output, project=project)
    return made
