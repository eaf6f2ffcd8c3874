"""`dev render`."""

from __future__ import annotations

from pathlib import Path

import click

from kamal_dev.cli import common
from kamal_dev.model.stack_engine import ENGINES, StackEngine


@click.command(
    epilog=common.examples(
        "dev render  # list the files",
        "dev render /tmp/release  # write them",
        "dev render --explain",
        "dev render --explain --engine swarm-stack  # what Swarm would change",
    )
)
@click.argument("directory", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@click.option("--explain", is_flag=True, help="Explain how each key of your files is used.")
@click.option(
    "--engine", type=click.Choice(ENGINES), default=None, help="Render for this engine. Default: engine of dev.yml."
)
@common.ignore_features
@common.allow_outside
@common.degraded
@common.as_json
@common.version
@common.common
def command(flags: common.Flags, *, directory: Path | None, explain: bool, engine: str | None) -> None:
    """Secrets are masked. Without DIR, only lists the files.

    Needs no Docker, hosts or network.
    """
    from kamal_dev.errors import ConfigError
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.explain import HEAD, explain_as_far
    from kamal_dev.pipeline.render import render

    run = common.open_run(flags, strict=not explain)
    try:
        chosen = StackEngine(engine, is_degraded=flags.degraded) if engine else run.project.engine
        rendering = render(run, directory, explained=explain, engine=chosen)
    except ConfigError as error:
        if explain:
            rows = explain_as_far(run.project, error.problems)
            common.show(table(HEAD, [row.cells for row in rows]))
        raise
    if flags.as_json:
        common.print_json(rendering.as_json())
    elif explain:
        common.show(table(HEAD, [row.cells for row in rendering.rows]))
    else:
        for path in rendering.paths:
            common.show(str(path))
