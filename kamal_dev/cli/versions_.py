"""`dev versions`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev versions", "dev versions guestbook-1"))
@common.stacks
@common.as_json
@common.common
def command(flags: common.Flags, *, names: tuple[str, ...]) -> int:
    """NAME selects stacks and can be a glob, such as `*-1`. Default: all stacks.

    The newest release comes first; times are UTC.

    The exit code is 1 if a host does not answer.
    """
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.versions import HEAD, rows, versions

    run = common.open_run(flags, strict=False)
    histories = versions(run, names)
    if flags.as_json:
        common.print_json([history.as_json() for history in histories])
    else:
        common.show(table(HEAD, [row for history in histories for row in rows(history)]))
    return int(any(history.error for history in histories))
