"""`dev push`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev push"))
@common.ignore_features
@common.allow_outside
@common.as_json
@common.version
@common.common
def command(flags: common.Flags) -> None:
    """Verifies each digest in the registry. Builds nothing: run `dev build` first."""
    from kamal_dev.pipeline.push import push

    run = common.open_run(flags)
    images = push(run)
    if flags.as_json:
        common.print_json({"version": str(run.project.version), "images": [str(image) for image in images]})
    else:
        for image in images:
            common.show(str(image))
