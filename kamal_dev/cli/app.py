"""The group of all commands. A command is imported when it is used."""

from __future__ import annotations

from importlib import import_module
from inspect import cleandoc
from typing import Any

import click

from kamal_dev import __version__

COMMANDS = {
    "init": "Write config/dev.yml and .kamal/secrets",
    "doctor": "Check that everything a deploy needs is in place",
    "config": "Show the resolved configuration without secrets",
    "render": "Write the files of a release to a folder",
    "build": "Build the images of this version",
    "push": "Push the images of this version",
    "plan": "Show what a deploy would do and why",
    "deploy": "Build, push and deploy to all hosts",
    "list": "List stacks with their host, address, version and state",
    "status": "Show the containers of all stacks",
    "services": "List services with their image, ports, health check and dependencies",
    "logs": "Print the logs of services, sorted by time",
    "alerts": "Show the alerts of the hosts",
    "versions": "List the releases on the hosts",
    "rollback": "Roll stacks back to an earlier release",
    "prune": "Remove old releases and unused images from hosts",
    "sync": "Update workspaces from the local source",
    "pull": "Pull the changes of a workspace into a local branch",
    "ssh": "Open a shell or run a command in a workspace",
    "exec": "Run a command in one, several or all stacks",
    "stop": "Stop stacks or some of their services",
    "start": "Start stopped stacks or some of their services",
    "restart": "Restart stacks or some of their services",
    "scale": "Set the number of containers of a service",
    "compose": "Run a Docker Compose command for a stack",
    "cp": "Copy files between this machine and a workspace or a service",
    "backup": "Save the volumes and the workspace of a stack to a file",
    "move": "Move a stack to another host",
    "restore": "Restore the volumes and the workspace of a stack from a file",
    "wait": "Wait until a stack or a service is healthy, exited or listening",
    "forward": "Forward ports of a stack to this machine",
    "open": "Open a workspace in VS Code",
    "extend": "Give a stack more time before it ends by itself",
    "reap": "Remove stacks whose lifetime is over, and unused hosts",
    "lock": "Show and release stack locks",
    "audit": "Show the history of changes to stacks",
    "remove": "Remove stacks and the hosts created for them",
}
# Second words of Kamal's `build` and `prune`.
KAMALS = ("push", "deliver", "details", "create", "dev", "pull", "all", "images", "containers")


class Commands(click.Group):
    """Load `cli/<name>.py` lazily; a mistyped name is an error with a suggestion."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        # A module named `list` would hide the built-in, so every module has an underscore after its command's name.
        command = import_module(f"kamal_dev.cli.{cmd_name}_").command
        command.help = f"{COMMANDS[cmd_name]}.\n\n{cleandoc(command.help or '')}"
        return command  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Refuse an unknown name with the closest known one; also a second word that only Kamal has."""
        if args and (args[0] not in COMMANDS or (args[0] in ("build", "prune") and args[1:2] and args[1] in KAMALS)):
            # Imported only for an unknown command.
            from kamal_dev.cli.suggestions import suggestion

            word, near = suggestion(args, COMMANDS)
            command = f"dev {near}" if near.startswith("--") or " " in near else near
            hint = f" Did you mean `{command}`?" if near else f" Known: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command `{word}`.{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Shell completion: `eval "$(_DEV_COMPLETE=bash_source dev)"` (or zsh_source, fish_source).',
)
@click.version_option(__version__, prog_name="kamal-dev", message="%(prog)s %(version)s")
@click.pass_context
def app(ctx: click.Context) -> int:
    """Run this repository's devcontainer as isolated stacks on remote hosts.

    Without a command, shows the stacks and what to run next.
    """
    if ctx.invoked_subcommand is not None:
        return 0
    from kamal_dev.cli.overview import overview

    return overview(ctx)
