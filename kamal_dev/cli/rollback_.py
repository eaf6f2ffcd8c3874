"""`dev rollback`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command()
@common.stack
@click.argument("to", metavar="[VERSION]", required=False)
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this stack; may be given again.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common.lock_wait
@common.skip_hooks
@common.as_json
@common.common
def command(
    flags: common.Flags,
    *,
    name: str | None,
    to: str | None,
    hosts: tuple[str, ...],
    yes: bool,
    skip_hooks: bool,
) -> int:
    """All services of a stack go back together; volumes and the workspace stay as they are.

    VERSION is one of `dev versions`, a release id, or the beginning of either; without it, the good
    release before the current one. NAME may be left out. What does not become healthy is put back.
    """
    from kamal_dev.pipeline.rollback import RollbackOptions, rollback

    run = common.open_run(flags, strict=False)
    agree = common.agreement(yes=yes)
    report = rollback(run, RollbackOptions(name or "", to or "", hosts, skip_hooks, agree))
    if flags.as_json:
        common.print_json(report.as_json())
    else:
        common.show(str(report))
    return common.finish(report.error())
