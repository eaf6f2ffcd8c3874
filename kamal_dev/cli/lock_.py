"""`dev lock`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.group(epilog=common.examples("dev lock status", "dev lock release guestbook-1"))
def command() -> None:
    """Only one command at a time can change a stack: it holds the lock of the stack on its host."""


@command.command(epilog=common.examples("dev lock status", "dev lock status guestbook-1 --json"))
@common.stacks
@common.as_json
@common.common
def status(flags: common.Flags, *, names: tuple[str, ...]) -> int:
    """Show who holds the lock of each stack.

    The exit code is 1 if a host does not answer."""
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.lock import HEAD, locks

    all_locks = locks(common.open_run(flags), names)
    if flags.as_json:
        common.print_json([locked.as_json() for locked in all_locks])
    else:
        common.show(table(HEAD, [locked.row for locked in all_locks]))
    return int(any(locked.reason for locked in all_locks))


@command.command(epilog=common.examples("dev lock release guestbook-1", "dev lock release --yes  # all stacks"))
@common.stacks
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.common
def release(flags: common.Flags, *, names: tuple[str, ...], yes: bool) -> int:
    """Release the lock of a stack.

    If the process that holds the lock is still running, asks for confirmation and stops it. The
    next deploy continues from there.
    """
    from kamal_dev.pipeline.lock import release as released

    released(common.open_run(flags), names, common.agreement(yes=yes))
    return 0
