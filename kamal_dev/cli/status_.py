"""`dev status`."""

from __future__ import annotations

import click

from kamal_dev.cli import common


@click.command(epilog=common.examples("dev status", "dev status guestbook-1"))
@common.stacks
@common.skip_hooks
@common.as_json
@common.common
def command(flags: common.Flags, *, names: tuple[str, ...], skip_hooks: bool) -> int:
    """With NAME, only these stacks; it may be a glob, such as `*-1`.

    The exit code is 1 if a container is not in the state of its release, the hook `health` fails, or a host does not
    answer.
    """
    from kamal_dev.output.table import table
    from kamal_dev.pipeline.health import checked
    from kamal_dev.pipeline.run.hooks import Hooks
    from kamal_dev.pipeline.status import HEAD, containers, failure, locked, problems, stacks

    run = common.open_run(flags)
    statuses = checked(Hooks(run, "status", skip=skip_hooks), stacks(run, names), run.connections.limit)
    if flags.as_json:
        common.print_json([stack.as_json() for stack in statuses])
    else:
        common.show(table(HEAD, [row for stack in statuses for row in containers(stack)]))
        for stack in statuses:
            for line in filter(None, (*problems(stack), failure(stack), locked(stack))):
                common.show(line)
    return int(any(not stack.is_fine for stack in statuses))
