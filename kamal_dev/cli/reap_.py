"""`dev reap`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev reap --dry-run  # print what is over",
        "dev reap --yes  # for cron and CI",
        "dev reap fix-42 --force  # discard the work in it",
    )
)
@common.stacks
@click.option("--dry-run", is_flag=True, help="Print the plan without removing anything.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--force", is_flag=True, help="Also remove stacks with uncommitted or unpushed work.")
@common.lock_wait
@common.as_events
@common.common
def command(flags: common.Flags, *, names: tuple[str, ...], dry_run: bool, yes: bool, force: bool) -> int:
    """NAME selects stacks and can be a glob, such as `*-1`. Default: all stacks.

    Removes stacks whose lifetime is over, and hosts that `dev` created and that have no stack. A stack with work that
    exists nowhere else is only stopped.
    """
    from kamal_dev.pipeline.reap import NOTHING, reap, reaping

    run = common.open_run(flags, strict=False)
    if dry_run:
        _, plan = reaping(run, names, force=force)
        return common.finish_dry_run(flags, "reap", plan, NOTHING)
    report = reap(run, names, force=force, agree=common.agreement(yes=yes))
    return common.finish(flags, report.result(), error=report.error())
