"""`dev render`."""

from __future__ import annotations

from pathlib import Path

import click

from kamal_dev.cli import common


@click.command()
@click.argument("directory", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@common.as_json
@common.version
@common.common
def command(flags: common.Flags, *, directory: Path | None) -> None:
    """Values of secrets are masked. Without DIR only says what would be written.

    Needs no engine, host or network.
    """
    from kamal_dev.pipeline.render import render

    run = common.open_run(flags)
    rendering = render(run, directory)
    if flags.as_json:
        common.print_json(rendering.as_json())
    else:
        for path in rendering.paths:
            click.echo(path)
