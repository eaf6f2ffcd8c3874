"""`dev ssh`."""

from __future__ import annotations

import os
import sys

import click

from kamal_dev.cli import common


class Words(click.Command):
    """Parse NAME, its options, and a command that is passed on unchanged; `--` may precede the command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Split the words: the command begins at the first `--`, or with the word after NAME and its options."""
        end = self._options(args)
        if args[end : end + 1] != ["--"]:
            end += 1 + self._options(args[end + 1 :])
        words = args[end:]
        ctx.meta["words"] = tuple(words[1:] if words[:1] == ["--"] else words)
        return super().parse_args(ctx, args[:end])

    def _options(self, args: list[str]) -> int:
        """Return how many of the first words are options and their values."""
        options = [param for param in self.params if isinstance(param, click.Option) and not param.is_flag]
        valued = {name for param in options for name in param.opts}
        count = 0
        while count < len(args) and args[count].startswith("-") and args[count] != "--":
            count += 2 if args[count] in valued else 1
        return count


@click.command(
    cls=Words,
    options_metavar="[OPTIONS]",
    epilog=common.examples(
        "dev ssh guestbook-1",
        "dev ssh guestbook-1 -- rake db:migrate",
        "dev ssh guestbook-1 --service db -- psql -U postgres",
    ),
)
@common.stack
@click.option("--service", metavar="SERVICE", default="", help="Use the container of this service.")
@common.common
@click.pass_context
def command(ctx: click.Context, flags: common.Flags, *, name: str | None, service: str) -> int:
    """NAME is optional if there is only one stack. Pass a command after `--`.

    Runs as remoteUser in workspaceFolder with remoteEnv. A single word is run by the user's shell, several
    words are run as they are. Stdin is passed on, and the exit code is that
    of the command.
    """
    from kamal_dev.pipeline.ssh import ssh

    words: tuple[str, ...] = ctx.meta["words"]
    is_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    terminal = os.environ.get("TERM", "xterm") if is_terminal else ""
    run = common.open_run(flags)
    session = ssh(run, name, words, service=service, terminal=terminal)
    run.output.step(f"$ {' '.join(session.words[:-1])} …")
    ctx.close()
    return session.take_over()
