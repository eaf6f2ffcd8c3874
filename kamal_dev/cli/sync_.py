"""`dev sync`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples("dev sync guestbook-1", "dev sync guestbook-1 --force  # discard changes in the workspace")
)
@common.stack
@click.option("--force", is_flag=True, help="Discard changes in the workspace; a backup is kept on the host.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.as_events
@common.common
def command(flags: common.Flags, *, name: str | None, force: bool, yes: bool) -> int:
    """NAME is optional if there is only one stack.

    A workspace with changes is only updated with --force.
    """
    from kamal_dev.output.summary import RunSummary
    from kamal_dev.pipeline.sync import sync

    stack = sync(common.open_run(flags), name, force=force, agree=common.agreement(yes=yes))
    return common.finish(flags, RunSummary("sync", ok=True, exit_code=0, stacks=(stack,)))
