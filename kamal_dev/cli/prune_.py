"""`dev prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kamal_dev.cli import common

if TYPE_CHECKING:
    from kamal_dev.pipeline.prune import Pruned


@click.command(
    epilog=common.examples("dev prune --dry-run  # list what would be removed", "dev prune guestbook-1 --yes")
)
@common.stack
@click.option("--dry-run", is_flag=True, help="List what would be removed without removing it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.lock_wait
@common.as_events
@common.common
def command(flags: common.Flags, *, name: str | None, dry_run: bool, yes: bool) -> int:
    """With NAME, only that stack. Removes releases beyond `retain` and unused images of this project.

    Never removes volumes or anything of other projects. Sizes do not include layers shared with other images.
    """
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.prune import HEAD, failure, prune, result, rows, summary

    def show(found: list[Pruned], *, err: bool = False) -> None:
        lines = [row for pruned in found for row in rows(pruned)]
        if lines:
            common.show(table(HEAD, lines), err=err)

    def agree(found: list[Pruned]) -> bool:
        show(found, err=True)
        return common.agreement(yes=False)("Remove all of this?")

    run = common.open_run(flags, strict=False)
    found = prune(run, name, dry_run=dry_run, agree=None if yes else agree)
    if not flags.as_events and (dry_run or yes):
        show(found)
    return common.finish(flags, result(found), summary(found, dry_run=dry_run), failure(found))
