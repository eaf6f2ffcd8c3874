"""`dev deploy`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from kamal_dev.cli import common


@click.command()
@click.argument("name", required=False)
@click.option("--count", type=click.IntRange(1, 1000), metavar="N", help="How many stacks; vms.count without it.")
@click.option("--skip-build", is_flag=True, help="Use the images that were built for this version.")
@click.option("--skip-push", is_flag=True, help="Send images to the hosts over SSH; no registry is needed.")
@click.option("--host", "hosts", multiple=True, metavar="NAME", help="Only this stack; may be given again.")
@click.option("--retry-failed", is_flag=True, help="Only the stacks whose last deploy failed or did not end.")
@click.option(
    "--timeout",
    type=click.FloatRange(1),
    metavar="SECONDS",
    help="How long a host may be at work; after that it is reported as unknown, and goes on.",
)
@click.option(
    "--keep-failed", is_flag=True, help="Leave a release that fell running where there is none to go back to."
)
@click.option("--recreate", is_flag=True, help="Make every container anew, also where nothing of it changed.")
@click.option("--dry-run", is_flag=True, help="Show what would be run, and change nothing.")
@click.option("-y", "--yes", is_flag=True, help="Make hosts, and raise this machine's limits for them, without asking.")
@common.lock_wait
@common.skip_initialize
@common.skip_hooks
@common.ignore_features
@common.allow_outside
@common.as_json
@common.version
@common.common
def command(
    flags: common.Flags, *, name: str | None, hosts: tuple[str, ...], dry_run: bool, yes: bool, **wanted: Any
) -> int:
    """With NAME, only that stack. Ends with 1 where any host failed, and says which."""
    from kamal_dev.pipeline.deploy import DeployOptions, deploy
    from kamal_dev.pipeline.plan import plan
    from kamal_dev.shell.fanout import Background

    # Loading the SSH library takes a tenth of a second, in which git and docker answer.
    Background(lambda: import_module("kamal_dev.shell.remote"))
    run = common.open_run(flags)
    names = (*hosts, *((name,) if name else ()))
    agree = common.agreement(yes=yes)
    order = DeployOptions(names=names, agree=agree, consent=agree, **wanted)
    if dry_run:
        planned = plan(run, order)
        if flags.as_json:
            common.print_json({"version": str(run.project.version), **planned.as_json()})
        else:
            common.show("\n".join(planned.lines))
        return common.finish(planned.error())
    report = deploy(run, order)
    if flags.as_json:
        common.print_json(report.as_json())
    elif report.outcomes:
        common.show(str(report))
    return common.finish(report.error())
