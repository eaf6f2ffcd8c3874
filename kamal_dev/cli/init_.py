"""`dev init`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev init", "dev init --force  # overwrite existing files"))
@click.option("--force", is_flag=True, help="Overwrite existing files.")
@common.common
def command(flags: common.Flags, *, force: bool) -> None:
    """config/dev.yml explains every option and is filled in from the repository.

    Existing files are only overwritten with --force.
    """
    from kamal_dev.pipeline.init import init

    folder, output = common.local_folder(flags), common.output(flags)
    for path in init(
        folder,
        output,
        config_path=flags.config_path,
        devcontainer_path=flags.devcontainer_path,
        force=force,
    ):
        common.show(str(path))
