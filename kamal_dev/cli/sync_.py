"""`dev sync`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command()
@common.stack
@click.option("--force", is_flag=True, help="Discard what was changed there; a backup stays on the host.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common.common
def command(flags: common.Flags, *, name: str | None, force: bool, yes: bool) -> int:
    """NAME can be left out where there is one stack.

    Where people have changed the workspace it is left as it is, unless --force is given.
    """
    from kamal_dev.pipeline.sync import sync

    sync(common.open_run(flags), name, force=force, agree=common.agreement(yes=yes))
    return 0
