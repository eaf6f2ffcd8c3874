"""`dev status`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command()
@click.argument("name", required=False)
@common.as_json
@common.common
def command(flags: common.Flags, *, name: str | None) -> int:
    """With NAME, only that stack. Ends with 1 where a container is not fine or a host does not answer."""
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.stacks import HEAD, containers, locked, stacks

    run = common.open_run(flags)
    found = stacks(run, name)
    if flags.as_json:
        common.print_json([stack.as_json() for stack in found])
    else:
        common.show(table(HEAD, [row for stack in found for row in containers(stack)]))
        for line in filter(None, map(locked, found)):
            common.show(line)
    return int(any(not stack.is_fine for stack in found))
