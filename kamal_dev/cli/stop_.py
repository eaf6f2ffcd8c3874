"""`dev stop`."""

from __future__ import annotations

import click

from kamal_dev.cli import common
from kamal_dev.cli.service_verb import operation, service, steer


@click.command(
    epilog=common.examples("dev stop guestbook-1", "dev stop guestbook-1 db", "dev stop --yes  # all stacks")
)
@operation(has_hooks=False)
@service
def command(flags: common.Flags, *, words: tuple[str, ...], services: tuple[str, ...], dry_run: bool, yes: bool) -> int:
    """Containers, volumes and workspaces are kept. The stack is `stopped` in `dev list` until `dev start`,
    a deploy, or a command such as `dev ssh` starts it.

    Without NAME, stops all stacks after confirmation. NAME can be a glob.
    """
    from kamal_dev.pipeline.operate import change_of

    return steer(
        flags,
        lambda project, known, stacks: change_of(project, known, stacks, "stop", words, services),
        dry_run=dry_run,
        yes=yes,
    )
