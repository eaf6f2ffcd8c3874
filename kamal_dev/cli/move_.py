"""`dev move`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev move guestbook-2 --to 10.0.0.2",
        "dev move fix-42 --to 10.0.0.2 --dry-run  # what is carried, and whether it fits",
    )
)
@click.argument("name", shell_complete=common.complete_stacks)
@click.option("--to", required=True, metavar="HOST", help="The host, as in provider.hosts.")
@click.option("--dry-run", is_flag=True, help="Print the plan without moving anything.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.lock_wait
@common.skip_hooks
@common.as_events
@common.common
def command(flags: common.Flags, *, name: str, to: str, dry_run: bool, yes: bool, skip_hooks: bool) -> int:
    """The stack is stopped, and its volumes, workspace and releases are copied to the host, where it is started. It is
    then removed from the old host.

    If anything fails, it is started again where it was. Hosts must share stacks: see placement.per_host.
    """
    from kamal_dev.pipeline.move import move, planned
    from kamal_dev.pipeline.run.hooks import Hooks

    run = common.open_run(flags, strict=False)
    if dry_run:
        wanted = planned(run.project, run.connections, run.provider, name, to)
        return common.finish_dry_run(flags, "move", wanted.plan, wanted.unchanged)
    hooks = Hooks(run, "move", skip=skip_hooks)
    report = move(run.project, run.connections, run.provider, hooks, name, to, common.agreement(yes=yes))
    return common.finish(flags, report.result(), str(report), report.error())
