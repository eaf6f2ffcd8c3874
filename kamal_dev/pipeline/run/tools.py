"""What runs commands on this machine."""

from __future__ import annotations

from contextlib import ExitStack
from functools import cached_property

from kamal_dev.commands.features import Program
from kamal_dev.output import Output
from kamal_dev.pipeline.run.devcontainer_cli import find
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class LocalTools:
    """Hold the local shell, the output for its commands, and the temporary files that are removed when the run ends."""

    shell: Shell
    output: Output
    resources: ExitStack

    @cached_property
    def devcontainer_cli(self) -> Program | None:
        """The devcontainer CLI; None if it is not installed."""
        return find(self.shell)
