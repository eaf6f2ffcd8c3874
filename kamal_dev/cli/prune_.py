"""`dev prune`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples("dev prune --dry-run  # list what would be removed", "dev prune guestbook-1 --yes")
)
@common.stacks
@click.option("--dry-run", is_flag=True, help="Print the plan without removing anything.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.lock_wait
@common.as_events
@common.common
def command(flags: common.Flags, *, names: tuple[str, ...], dry_run: bool, yes: bool) -> int:
    """NAME selects stacks and can be a glob, such as `*-1`. Default: all stacks.

    Removes releases beyond `retain` and unused images of this project.

    Never removes volumes or anything of other projects. Sizes do not include layers shared with other images.
    """
    from kamal_dev.pipeline.prune import prune

    run = common.open_run(flags, strict=False)
    report = prune(run, names, dry_run=dry_run, agree=None if yes else common.agreement(yes=False))
    return common.finish(flags, report.result(), str(report), report.error())
