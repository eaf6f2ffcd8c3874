"""`dev init`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command()
@click.option("--force", is_flag=True, help="Overwrite what is there.")
@common.common
def command(flags: common.Flags, *, force: bool) -> None:
    """Every option is explained in the file, and filled in from what is found here.

    Nothing is overwritten without --force.
    """
    from kamal_dev.pipeline.init import init

    output = common.output(flags)
    for path in init(
        common.here(), output, config_path=flags.config_path, devcontainer_path=flags.devcontainer, force=force
    ):
        common.show(str(path))
