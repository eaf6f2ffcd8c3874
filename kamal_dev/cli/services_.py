"""`dev services`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev services  # in the compose files", "dev services guestbook-1"))
@common.stacks
@common.as_json
@common.version
@common.common
def command(flags: common.Flags, *, names: tuple[str, ...]) -> int:
    """Without NAME, lists the services in the compose files, which needs no Docker, hosts or network.

    With NAME, also shows the state and the image of each service in these stacks.
    """
    from kamal_dev.output.table import fitted, table
    from kamal_dev.pipeline.services import HEAD, LEFT_OUT, services
    from kamal_dev.pipeline.status import stacks

    run = common.open_run(flags, strict=False)
    statuses = stacks(run, names) if names else []
    listed = services(run.project, run.connections, statuses)
    if flags.as_json:
        common.print_json([item.as_json() for item in listed])
    else:
        head = ("STACK", "STATE", *HEAD) if names else HEAD
        rows, width = [item.row for item in listed], common.terminal_width()
        common.show(
            table(head, rows) if width is None else fitted(head, rows, width, shorten="IMAGE", without=LEFT_OUT)
        )
    return int(not all(stack.is_known for stack in statuses))
