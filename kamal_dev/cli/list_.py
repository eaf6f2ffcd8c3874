"""`dev list`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev list", "dev list --json"))
@common.as_json
@common.common
def command(flags: common.Flags) -> int:
    """The state is read from the hosts. If a host does not answer, the list shows why, and the exit code is 1."""
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.list import lines, listed

    stacks = listed(common.open_run(flags))
    if flags.as_json:
        common.print_json([stack.as_json() for stack in stacks])
    else:
        common.show(table(*lines(stacks)))
    return int(not all(stack.is_known for stack in stacks))
