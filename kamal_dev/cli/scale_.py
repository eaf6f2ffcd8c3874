"""`dev scale`."""

from __future__ import annotations

import click

from kamal_dev.cli import common
from kamal_dev.cli.service_verb import operation, steer


@click.command(epilog=common.examples("dev scale guestbook-1 worker=3", "dev scale 'guestbook-*' worker=0 web=2"))
@operation("[NAME]... SERVICE=N...")
def command(flags: common.Flags, *, words: tuple[str, ...], dry_run: bool, yes: bool, skip_hooks: bool) -> int:
    """The number also holds after `dev stop` and `dev start`, until a deploy changes the stack. To keep it
    longer, set `scale` in the compose file.

    Waits until the containers are up. The main service always has one container. Without NAME, scales the service in
    all stacks after confirmation.
    """
    from kamal_dev.pipeline.operate import scale_of

    return steer(
        flags,
        lambda project, known, stacks: scale_of(project, known, stacks, words),
        dry_run=dry_run,
        yes=yes,
        skip_hooks=skip_hooks,
    )
