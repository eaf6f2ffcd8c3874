"""What `dev stop`, `start`, `restart` and `scale` share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from kamal_dev.cli import common

if TYPE_CHECKING:
    from kamal_dev.model import Host
    from kamal_dev.pipeline.hosts.stack_projects import Projects
    from kamal_dev.pipeline.operate import ServiceChange
    from kamal_dev.project import Project

Choose = Callable[["Project", "Projects", Mapping[str, "Host"]], "ServiceChange"]


service = click.option(
    "--service", "services", multiple=True, metavar="SERVICE", help="Only this service. Can be repeated."
)


def operation(
    metavar: str = "[NAME]... [SERVICE]...", *, has_hooks: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the arguments and options of a command that stops, starts, restarts or scales services."""
    added = (
        click.argument("words", metavar=metavar, nargs=-1, shell_complete=common.complete_stacks),
        click.option("--dry-run", is_flag=True, help="Print the plan without changing anything."),
        click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation."),
        common.lock_wait,
        *((common.skip_hooks,) if has_hooks else ()),
        common.as_events,
        common.common,
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for add in reversed(added):
            function = add(function)
        return function

    return decorate


def steer(flags: common.Flags, choose: Choose, *, dry_run: bool, yes: bool, skip_hooks: bool = False) -> int:
    """Carry out the change of `choose`, and print how it ended."""
    from kamal_dev.pipeline.hosts.stack_projects import projects
    from kamal_dev.pipeline.operate import operate
    from kamal_dev.pipeline.run.hooks import Hooks

    run = common.open_run(flags, strict=False)
    change = choose(run.project, projects(run.project, run.connections, run.stacks), run.stacks)
    if dry_run:
        return common.finish_dry_run(flags, change.verb, change.plan, "Nothing to do")
    hooks = Hooks(run, change.verb, skip=skip_hooks)
    report = operate(run.project, run.connections, hooks, change, common.agreement(yes=yes))
    return common.finish(flags, report.result(), str(report), report.error())
