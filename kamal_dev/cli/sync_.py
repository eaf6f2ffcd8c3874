"""`dev sync`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev sync guestbook-1",
        "dev sync 'guestbook-*'  # several",
        "dev sync guestbook-1 --force  # discard changes in the workspace",
        "dev sync guestbook-1 --dry-run  # print the plan",
    )
)
@common.stacks
@click.option("--force", is_flag=True, help="Discard changes in the workspace; a backup is kept on the host.")
@click.option("--dry-run", is_flag=True, help="Print the plan without sending anything.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.as_events
@common.common
def command(flags: common.Flags, *, names: tuple[str, ...], force: bool, dry_run: bool, yes: bool) -> int:
    """Without NAME, updates all stacks after confirmation. NAME can be a glob.

    A workspace with changes is only updated with --force. The exit code is 1 if it was not
    updated because of its changes.
    """
    from kamal_dev.pipeline.named import NamedStacks
    from kamal_dev.pipeline.sync import sync_all

    runs = NamedStacks(common.open_run(flags)).by_source(names)
    report = sync_all(runs, force=force, dry_run=dry_run, agree=common.agreement(yes=yes))
    return common.finish(flags, report.result(), str(report), report.error())
