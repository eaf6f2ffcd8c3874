"""`dev config`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev config", "dev config --json"))
@common.as_json
@common.version
@common.common
def command(flags: common.Flags) -> None:
    """Needs no Docker, hosts or network."""
    from kamal_dev.pipeline.config import resolved
    from kamal_dev.syntax.emitter import dump

    run = common.open_run(flags, strict=False)
    data = resolved(run.project)
    if flags.as_json:
        common.print_json(data)
    else:
        common.show(dump(data), end="")
