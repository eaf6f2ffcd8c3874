"""`dev pull`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev pull guestbook-1"))
@common.stack
@common.as_events
@common.common
def command(flags: common.Flags, *, name: str | None) -> int:
    """NAME is optional if there is only one stack.

    The branch is called kamal-dev/NAME. Your checkout is not changed.
    """
    from kamal_dev.output.summary import BranchSummary, RunSummary, taken
    from kamal_dev.pipeline.pull import pull

    pulled = pull(common.open_run(flags), name)
    branches = tuple(taken(BranchSummary, branch) for branch in pulled)
    lines = [
        line
        for branch in pulled
        for line in (f"{branch.branch}  {branch.commit[:12]}  {branch.summary}".rstrip(), *branch.advice)
    ]
    return common.finish(flags, RunSummary("pull", ok=True, exit_code=0, branches=branches), "\n".join(lines))
