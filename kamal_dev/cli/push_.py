"""`dev push`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev push"))
@common.ignore_features
@common.allow_outside
@common.as_events
@common.version
@common.common
def command(flags: common.Flags) -> int:
    """Verifies each digest in the registry. Builds nothing: run `dev build` first."""
    from kamal_dev.output.summary import RunSummary
    from kamal_dev.pipeline.push import push

    run = common.open_run(flags)
    images = push(run)
    names = tuple(map(str, images))
    result = RunSummary("push", ok=True, exit_code=0, version=str(run.project.version), images=names)
    return common.finish(flags, result, "\n".join(names))
