"""`dev list`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command()
@common.as_json
@common.common
def command(flags: common.Flags) -> None:
    """State is asked of the hosts; one that does not answer is listed as unreachable."""
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.list import listed

    found = listed(common.open_run(flags))
    if flags.as_json:
        common.print_json([stack.as_json() for stack in found])
    else:
        rows = [(stack.name, stack.host.name, stack.address, stack.version or "-", stack.state) for stack in found]
        common.show(table(("STACK", "HOST", "ADDRESS", "VERSION", "STATE"), rows))
