"""`dev sync`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Discard what was changed there; a backup stays on the host.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common.common
def command(flags: common.Flags, *, name: str, force: bool, yes: bool) -> int:
    """Where people have changed the workspace it is left as it is, unless --force is given."""
    from kamal_dev.pipeline.sync import sync

    sync(common.open_run(flags), name, force=force, agree=common.agreement(yes=yes))
    return 0
