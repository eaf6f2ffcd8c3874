"""`dev rollback`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev rollback  # all stacks to their previous good release",
        "dev rollback guestbook-1 41aa  # to a version",
        "dev rollback guestbook-1 guestbook-2 41aa --yes",
    )
)
@click.argument("words", metavar="[NAME]... [VERSION]", nargs=-1, shell_complete=common.complete_stacks)
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Roll back only this stack. Can be repeated.")
@click.option("--dry-run", is_flag=True, help="Print the plan without rolling back.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.lock_wait
@common.skip_hooks
@common.as_events
@common.common
def command(
    flags: common.Flags,
    *,
    words: tuple[str, ...],
    hosts: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    skip_hooks: bool,
) -> int:
    """Rolls back all services of a stack; volumes and the workspace are not changed.

    VERSION is a version from `dev versions`, a release id, or a prefix of either. Default: the last good
    release before the current one. Without NAME, rolls back all stacks after
    confirmation. NAME can be a glob. If a release does not become healthy, the rollback of that stack is
    reverted.
    """
    from kamal_dev.pipeline.rollback import RollbackOptions, preview, rollback

    run = common.open_run(flags, strict=False)
    agree = common.agreement(yes=yes)
    options = RollbackOptions(words, hosts, skip_hooks, agree)
    if dry_run:
        return common.finish_dry_run(flags, "rollback", preview(run, options), "Nothing to roll back")
    report = rollback(run, options)
    return common.finish(flags, report.result(), str(report), report.error())
