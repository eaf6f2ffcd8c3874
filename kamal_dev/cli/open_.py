"""`dev open`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command()
@common.stack
@click.option("--editor", metavar="COMMAND", help="Open it with this one, of VS Code's family; `code` without it.")
@click.option("--print", "only_print", is_flag=True, help="Print the address, and open nothing.")
@common.as_json
@common.common
def command(flags: common.Flags, *, name: str | None, editor: str | None, only_print: bool) -> None:
    """NAME can be left out where there is one stack. The address is for VS Code with the Dev Containers extension.

    The host is named in it as ssh knows it: this writes .kamal/local/ssh_config, for ~/.ssh/config to include.
    """
    from kamal_dev.pipeline.open import address, open_editor

    run = common.open_run(flags)
    found = address(run, name)
    if flags.as_json:
        common.print_json(found.as_json())
    else:
        common.show(found.uri)
    if not only_print and not flags.as_json:
        open_editor(run, found, editor)
    elif not found.is_known:
        run.output.warn(f"ssh does not know `{found.host}` yet; at the top of ~/.ssh/config: Include {found.config}")
