"""`dev push`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev push", "dev push --version 1.4.2  # an image that was built with this tag"))
@common.ignore_features
@common.allow_outside
@common.as_events
@common.version
@common.common
def command(flags: common.Flags) -> int:
    """Verifies the digest of each image in the registry. Does not build: run `dev build` first."""
    from kamal_dev.output.summary import RunSummary
    from kamal_dev.pipeline.push import push

    run = common.open_run(flags)
    images = push(run)
    names = tuple(map(str, images))
    result = RunSummary("push", ok=True, exit_code=0, version=str(run.project.version), images=names)
    return common.finish(flags, result, "\n".join(names))
