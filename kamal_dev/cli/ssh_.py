"""`dev ssh`."""

from __future__ import annotations

import os
import sys

import click

from kamal_dev.cli import common


class Words(click.Command):
    """Take NAME, options beside it, and a command that is passed on as it is; `--` may stand before the command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sort the words: what follows `--`, or the first word after NAME, is the command's."""
        head, words = args, []
        if "--" in args:
            split = args.index("--")
            head, words = args[:split], args[split + 1 :]
        options, names = self._split(ctx, head)
        if len(names) > 1:
            more, rest = self._split(ctx, names[1:])
            options, names, words = options + more, names[:1], rest + words
        ctx.meta["words"] = tuple(words)
        return super().parse_args(ctx, [*options, *names])

    def _split(self, ctx: click.Context, args: list[str]) -> tuple[list[str], list[str]]:
        parser = self.make_parser(ctx)
        parser.allow_interspersed_args = False
        _, rest, _ = parser.parse_args(list(args))
        return args[: len(args) - len(rest)], rest


@click.command(cls=Words, options_metavar="[OPTIONS]")
@common.stack
@click.option("--service", metavar="SERVICE", default="", help="In the container of this service.")
@common.common
@click.pass_context
def command(ctx: click.Context, flags: common.Flags, *, name: str | None, service: str) -> None:
    """NAME can be left out where there is one stack. A command may follow: `dev ssh NAME -- COMMAND…`.

    Runs as remoteUser, in workspaceFolder, with remoteEnv. One word is a line for the user's shell, several
    are run as they are. Ends with the command's exit code; stdin is passed on.
    """
    from kamal_dev.pipeline.ssh import ssh
    from kamal_dev.shell.openssh import become

    words: tuple[str, ...] = ctx.meta["words"]
    is_terminal = all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))
    terminal = os.environ.get("TERM", "xterm") if is_terminal else ""
    run = common.open_run(flags)
    argv = ssh(run, name, words, service=service, terminal=terminal)
    run.output.step(f"$ {' '.join(argv[:-1])} …")
    ctx.close()
    become(argv)
