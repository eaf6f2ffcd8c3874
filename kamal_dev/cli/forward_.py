"""`dev forward`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kamal_dev.cli import common
from kamal_dev.cli.exit import INTERRUPTED

if TYPE_CHECKING:
    from kamal_dev.devcontainer.forwarding import Port


@click.command(
    epilog=common.examples("dev forward guestbook-1", "dev forward guestbook-1 --port 8080:3000 --port db:5432")
)
@common.stack
@click.option(
    "--port", "ports", metavar="[LOCAL:][HOST:]PORT", multiple=True, help="Also forward this port. Can be repeated."
)
@common.as_json
@common.common
def command(flags: common.Flags, *, name: str | None, ports: tuple[str, ...]) -> int:
    """NAME is optional if there is only one stack.

    Forwards `forwardPorts` and `appPort` of devcontainer.json to 127.0.0.1 until Ctrl-C. If a local
    port is in use, the next free one is used; with --port, the command fails instead.
    """
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.forward import HEAD, address, as_json, forward

    run = common.open_run(flags)

    def opened(forwarded: tuple[Port, ...]) -> None:
        if flags.as_json:
            common.print_json(as_json(forwarded))
        else:
            common.show(table(HEAD, [(address(port), port.shown, port.label or "-") for port in forwarded]))
            run.output.info("Open until Ctrl-C")

    try:
        forward(run, name, ports, opened)
    except KeyboardInterrupt:
        run.output.info("Closed")
    return INTERRUPTED
