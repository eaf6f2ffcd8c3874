"""`dev remove`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev remove guestbook-2", "dev remove --yes  # all stacks", "dev remove guestbook-1 --keep-volumes"
    )
)
@common.stacks
@click.option("--dry-run", is_flag=True, help="Print the plan without removing anything.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--keep-volumes", is_flag=True, help="Keep volumes, workspaces and hosts.")
@common.lock_wait
@common.skip_hooks
@common.as_events
@common.common
def command(
    flags: common.Flags, *, names: tuple[str, ...], dry_run: bool, yes: bool, keep_volumes: bool, skip_hooks: bool
) -> int:
    """NAME selects stacks and can be a glob, such as `*-1`. Default: all stacks.

    Hosts of the `static` provider are never destroyed.
    """
    from kamal_dev.pipeline.remove import NOTHING, removal, remove

    run = common.open_run(flags)
    if dry_run:
        _, plan = removal(run, names, keep_volumes=keep_volumes)
        return common.finish_dry_run(flags, "remove", plan, NOTHING)
    agree = common.agreement(yes=yes)
    report = remove(run, names, keep_volumes=keep_volumes, agree=agree, skip_hooks=skip_hooks)
    return common.finish(flags, report.result(), error=report.error())
