"""`dev compose`."""

from __future__ import annotations

import os
import sys

import click

from kamal_dev.cli import common
from kamal_dev.cli.after_dashes import AfterDashes


@click.command(
    cls=AfterDashes,
    options_metavar="[OPTIONS]",
    epilog=common.examples(
        "dev compose guestbook-1 -- ps",
        "dev compose guestbook-1 -- exec db psql -U postgres",
        "dev compose -- top  # all stacks",
        "dev compose guestbook-1 -- down -v  # also removes the volumes",
    ),
)
@common.stacks
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.common
@click.pass_context
def command(ctx: click.Context, flags: common.Flags, *, names: tuple[str, ...], yes: bool) -> int:
    """Pass the command after `--`. It runs on the host, with the files and the environment of the release.

    Commands that change containers hold the lock of the stack and are recorded in `dev audit`. Without NAME, the
    command runs for all stacks; if it changes anything, after confirmation. `build`, `pull` and `push` are refused.
    """
    from kamal_dev.commands.compose import ComposeCall
    from kamal_dev.pipeline.compose import run_in_all, session, targets

    call = ComposeCall.of(ctx.meta["words"] or ())
    run = common.open_run(flags, strict=False)
    stacks = targets(run.project, run.stacks, names, call, common.agreement(yes=yes))
    if len(stacks) > 1:
        return run_in_all(run.connections, stacks, call, common.stack_lines(stacks))
    is_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    started = session(run.connections, stacks, call, os.environ.get("TERM", "xterm") if is_terminal else "")
    ctx.close()
    return started.take_over()
