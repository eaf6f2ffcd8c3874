"""`dev cp`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(
    epilog=common.examples(
        "dev cp guestbook-1:log/development.log .  # from the workspace",
        "dev cp dump.sql guestbook-1:db:/tmp/",
        "dev cp fixtures guestbook-1:spec  # a folder",
    )
)
@click.argument("source", metavar="SRC")
@click.argument("target", metavar="DST")
@common.common
def command(flags: common.Flags, *, source: str, target: str) -> int:
    """One of both is NAME:PATH, in the workspace, or NAME:SERVICE:PATH; the other is on this machine.

    A folder is copied with all that it contains; into DST if that is a folder, else as DST. Modes are kept.
    Files that are sent belong to the user of the container.
    """
    from kamal_dev.pipeline.cp import cp

    run = common.open_run(flags, strict=False)
    cp(run.project, run.connections, run.stacks, source, target)
    return 0
