"""`dev forward`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kamal_dev.cli import common
from kamal_dev.cli.exit import INTERRUPTED

if TYPE_CHECKING:
    from kamal_dev.devcontainer.ports import Port


@click.command()
@common.stack
@click.option("--port", "ports", metavar="[LOCAL:][HOST:]PORT", multiple=True, help="This port, too; may be repeated.")
@common.as_json
@common.common
def command(flags: common.Flags, *, name: str | None, ports: tuple[str, ...]) -> int:
    """NAME can be left out where there is one stack.

    Opens `forwardPorts` and `appPort` of devcontainer.json on 127.0.0.1, until Ctrl-C. A port that is
    taken here gives way to the next free one; not so one given with --port.
    """
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.forward import HEAD, address, as_json, forward

    run = common.open_run(flags)

    def opened(found: tuple[Port, ...]) -> None:
        if flags.as_json:
            common.print_json(as_json(found))
        else:
            common.show(table(HEAD, [(address(port), port.shown, port.label or "-") for port in found]))
            run.output.note("Open until Ctrl-C")

    try:
        forward(run, name, ports, opened)
    except KeyboardInterrupt:
        run.output.note("Closed")
    return INTERRUPTED
