"""`dev plan`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from kamal_dev.cli import common
from kamal_dev.cli.sources import deploys, require_source
from kamal_dev.cli.url import to_deploy

if TYPE_CHECKING:
    from kamal_dev.pipeline.plan import ReleasePlan

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command(
    epilog=common.examples(
        "dev plan",
        "dev plan guestbook-2  # only this stack",
        "dev plan --exit-code  # fail if a deploy is needed",
    )
)
@click.argument("names", metavar="[NAME[=REF]]...", nargs=-1)
@click.option("--count", type=click.IntRange(1, 1000), metavar="N", help="Number of stacks. Default: vms.count.")
@common.source
@click.option("--skip-build", is_flag=True, help="Plan with the existing images of this version.")
@click.option("--skip-push", is_flag=True, help="Plan to send images to the hosts over SSH.")
@click.option("--recreate", is_flag=True, help="Plan to recreate every container.")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if a deploy would change something.")
@common.ignore_features
@common.allow_outside
@common.degraded
@common.as_json
@common.version
@common.common
def command(
    flags: common.Flags,
    *,
    names: tuple[str, ...],
    ref: tuple[str, ...],
    worktree: str,
    here: bool,
    source: str,
    with_work: bool,
    exit_code: bool,
    **wanted: Any,
) -> int:
    """Changes nothing, and runs neither hooks nor initializeCommand. NAME selects stacks. Default: all stacks."""
    from kamal_dev.pipeline.named import SourceChoice
    from kamal_dev.pipeline.plan import DeployOptions, plan

    names, ref = to_deploy(flags.repo, names, ref, common.here())
    common.refuse_local_source(flags, worktree, here)
    require_source(source, with_work=with_work)
    choice = SourceChoice.of(ref, worktree, here, names)
    options = DeployOptions(names=names, **wanted)
    every = deploys(common.open_run(flags), options, choice, source, with_work=with_work)
    planned = plan(every)
    if flags.as_json:
        common.print_json(planned.as_json())
    else:
        common.show("\n".join(_lines(planned, has_colour=sys.stdout.isatty() and not os.environ.get("NO_COLOR"))))
    is_done = planned.plan.is_empty and not planned.plan.blocked
    return int(exit_code and not is_done)


def _lines(planned: ReleasePlan, *, has_colour: bool) -> Iterator[str]:
    """Yield the plan, then the diff of each stack's compose files; equal ones once."""
    yield str(planned.plan)
    stacks: dict[str, list[str]] = {}
    for stack, text in planned.diffs.items():
        stacks.setdefault(text, []).append(stack)
    for text, named in stacks.items():
        yield f"\n{', '.join(named)}:"
        yield from (_coloured(line) if has_colour else line for line in text.splitlines())
    yield f"\nPlan: {planned.plan.summary}"


def _coloured(line: str) -> str:
    return click.style(line, fg=COLOURS[line[0]]) if line[:1] in COLOURS else line
