"""`dev restart`."""

from __future__ import annotations

import click

from kamal_dev.cli import common
from kamal_dev.cli.service_verb import operation, service, steer


@click.command(
    epilog=common.examples("dev restart guestbook-1", "dev restart guestbook-1 db", "dev restart --yes  # all stacks")
)
@operation()
@service
def command(
    flags: common.Flags,
    *,
    words: tuple[str, ...],
    services: tuple[str, ...],
    dry_run: bool,
    yes: bool,
    skip_hooks: bool,
) -> int:
    """Without SERVICE, restarts all services except completed one-shots. Waits until they are up, and runs
    postStartCommand if the main container was restarted.

    Without NAME, restarts all stacks after confirmation. NAME can be a glob.
    """
    from kamal_dev.pipeline.operate import change_of

    return steer(
        flags,
        lambda project, known, stacks: change_of(project, known, stacks, "restart", words, services),
        dry_run=dry_run,
        yes=yes,
        skip_hooks=skip_hooks,
    )
