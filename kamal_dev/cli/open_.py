"""`dev open`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev open guestbook-1", "dev open guestbook-1 --editor cursor"))
@common.stack
@click.option("--editor", metavar="COMMAND", help="Editor of the VS Code family. Default: `code`.")
@click.option("--print", "only_print", is_flag=True, help="Print the address without opening it.")
@common.as_json
@common.common
def command(flags: common.Flags, *, name: str | None, editor: str | None, only_print: bool) -> None:
    """NAME is optional if there is only one stack. Requires the Dev Containers extension of VS Code.

    Writes .kamal/local/ssh_config, which must be included in ~/.ssh/config.
    """
    from kamal_dev.pipeline.open import address, open_editor

    run = common.open_run(flags)
    where = address(run, name)
    if flags.as_json:
        common.print_json(where.as_json())
    else:
        common.show(where.uri)
    if not only_print and not flags.as_json:
        open_editor(run, where, editor)
    elif not where.is_known:
        run.output.warn(f"ssh does not know `{where.host}` yet; at the top of ~/.ssh/config: Include {where.config}")
