"""`dev audit`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev audit  # all stacks of this project", "dev audit guestbook-1 -n 10"))
@common.stacks
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    metavar="N",
    help="Number of entries to show.",
)
@common.as_json
@common.common
def command(flags: common.Flags, *, names: tuple[str, ...], lines: int) -> int:
    """Oldest entries first. NAME selects stacks and can be a glob, such as `*-1`. Default: all stacks.

    The exit code is 1 if a host does not answer.
    """
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.audit import HEAD, audit

    log = audit(common.open_run(flags), names, lines)
    if flags.as_json:
        common.print_json([entry.as_json() for entry in log.entries])
    else:
        common.show(table(HEAD, [entry.row for entry in log.entries]))
    return int(bool(log.silent))
