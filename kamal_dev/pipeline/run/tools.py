"""What commands on this machine are run with."""

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
    """Hold the shell of this machine, the output of what it runs, and the temporary files that end with the run."""

    shell: Shell
    output: Output
    resources: ExitStack

    @cached_property
    def devcontainer_cli(self) -> Program | None:
        """The devcontainer CLI; None where there is none."""
        return find(self.shell)
