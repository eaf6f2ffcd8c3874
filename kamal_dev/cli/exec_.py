"""`dev exec`."""

from __future__ import annotations

import os
import sys

import click

from kamal_dev.cli import common
from kamal_dev.cli.after_dashes import AfterDashes
from kamal_dev.errors import UsageError


@click.command(
    cls=AfterDashes,
    options_metavar="[OPTIONS]",
    epilog=common.examples(
        "dev exec guestbook-1 -- rake db:migrate",
        "dev exec guestbook-1 db -- psql -U postgres",
        "dev exec 'guestbook-*' -- git status  # in parallel",
        "dev exec guestbook-1 -d -- bin/worker",
    ),
)
@click.argument("names", metavar="[NAME]... [SERVICE]", nargs=-1)
@click.option("-d", "--detach", is_flag=True, help="Run the command in the background.")
@click.option("--service", metavar="SERVICE", default="", help="Use the container of this service.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common.common
@click.pass_context
def command(
    ctx: click.Context, flags: common.Flags, *, names: tuple[str, ...], detach: bool, service: str, yes: bool
) -> int:
    """Pass the command after `--`. It runs as with `dev ssh`: as remoteUser in workspaceFolder with remoteEnv.

    In a single stack, the command gets the terminal and stdin. In several stacks, it runs in parallel and without
    stdin; each line is prefixed with the stack, and the exit code is the highest one. Without NAME, it runs in all
    stacks after confirmation.
    """
    from kamal_dev.pipeline.exec import run_in_all, session, where

    words: tuple[str, ...] | None = ctx.meta["words"]
    if not words:
        raise UsageError("no command to run", hint="put it after `--`: `dev exec guestbook-1 -- ls -l`")
    run = common.open_run(flags)
    target = where(run.project, run.connections, run.stacks, names, service, common.agreement(yes=yes))
    if target.is_one and not detach:
        is_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
        terminal = os.environ.get("TERM", "xterm") if is_terminal else ""
        entered = session(run.connections, target, words, terminal)
        run.output.step(f"$ {' '.join(entered.words[:-1])} …")
        ctx.close()
        return entered.take_over()
    show = common.stack_lines(target.stacks)
    return run_in_all(run.connections, target, words, show, detach=detach)
