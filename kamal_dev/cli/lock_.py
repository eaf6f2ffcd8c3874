"""`dev lock`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.group()
def command() -> None:
    """One change of a stack at a time: whoever makes it has its lock."""


@command.command()
@common.stack
@common.as_json
@common.common
def status(flags: common.Flags, *, name: str | None) -> int:
    """Say who has the lock of each stack. Ends with 1 where a host does not answer."""
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.lock import HEAD, locks

    found = locks(common.open_run(flags), name)
    if flags.as_json:
        common.print_json([locked.as_json() for locked in found])
    else:
        common.show(table(HEAD, [locked.row for locked in found]))
    return int(any(locked.reason for locked in found))


@command.command()
@common.stack
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@common.common
def release(flags: common.Flags, *, name: str | None, yes: bool) -> int:
    """Remove a lock whose owner died; one whose owner lives only after asking: the owner is ended.

    What the ended run leaves behind it says itself; the next deploy goes on from there.
    """
    from kamal_dev.pipeline.lock import release as released

    released(common.open_run(flags), name, common.agreement(yes=yes))
    return 0
