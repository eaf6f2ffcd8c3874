"""`dev start`."""

from __future__ import annotations

import click

from kamal_dev.cli import common
from kamal_dev.cli.service_verb import operation, steer


@click.command(
    epilog=common.examples("dev start guestbook-1", "dev start guestbook-1 db", "dev start --yes  # all stacks")
)
@operation()
def command(flags: common.Flags, *, words: tuple[str, ...], dry_run: bool, yes: bool) -> int:
    """Without SERVICE, starts what `dev stop` stopped. Waits until the services are up, and runs
    postStartCommand if the main container was started.

    Without NAME, starts all stacks after confirmation. NAME can be a glob.
    """
    from kamal_dev.pipeline.operate import change_of

    return steer(flags, lambda project, stacks: change_of(project, stacks, "start", words), dry_run=dry_run, yes=yes)
