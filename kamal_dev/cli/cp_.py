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
    """Either SRC or DST is NAME:PATH, in the workspace, or NAME:SERVICE:PATH, in a container. The other one is a path
    on this machine.

    Folders are copied recursively: into DST if it is a folder, otherwise as DST. File modes are preserved. Files
    copied to a stack belong to the user of the container.
    """
    from kamal_dev.pipeline.cp import cp

    run = common.open_run(flags, strict=False)
    cp(run.project, run.connections, run.stacks, source, target)
    return 0
