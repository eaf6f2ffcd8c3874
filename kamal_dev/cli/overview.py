"""`dev` without a command: the stacks, and what to run next."""

from __future__ import annotations

import click

from kamal_dev.cli import common
from kamal_dev.cli.flags import Flags
from kamal_dev.errors import ConfigError, UsageError


def overview(ctx: click.Context) -> int:
    """Show the stacks of the project; outside of a project, show the help."""
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.list import lines
    from kamal_dev.pipeline.overview import next_command
    from kamal_dev.pipeline.status import overview as stacks_of

    try:
        run = common.open_run(Flags(), strict=False)
    except (ConfigError, UsageError):
        common.show(ctx.get_help())
        return 0
    has_config = (run.project.root / "config/dev.yml").is_file()
    statuses = stacks_of(run) if has_config else []
    if statuses:
        common.show(table(*lines(statuses)))
    command, why = next_command(statuses, str(run.project.version), has_config=has_config)
    common.show(f"Next: `{command}` {why}")
    common.show("`dev --help` lists all commands")
    return int(not all(stack.is_known for stack in statuses))
