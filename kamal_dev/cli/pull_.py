"""`dev pull`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev pull guestbook-1"))
@common.stack
@common.as_json
@common.common
def command(flags: common.Flags, *, name: str | None) -> int:
    """NAME is optional if there is only one stack.

    The branch is called kamal-dev/NAME. Your checkout is not changed.
    """
    from kamal_dev.pipeline.pull import pull

    pulled = pull(common.open_run(flags), name)
    if flags.as_json:
        common.print_json([branch.as_json() for branch in pulled])
        return 0
    for branch in pulled:
        common.show("\n".join((f"{branch.branch}  {branch.commit[:12]}  {branch.summary}".rstrip(), *branch.advice)))
    return 0
