"""What the hook `health` of a project says of stacks that are up, for `dev status`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kamal_dev.commands.hooks import HEALTH
from kamal_dev.errors import DevError
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.status import StackStatus
from kamal_dev.shell.fanout import each


def checked(run: Run, stacks: Iterable[StackStatus], *, skip_hooks: bool = False) -> list[StackStatus]:
    """Return the stacks; one that is up is `degraded` where the hook exits with another code than 0."""
    hooks, found = Hooks(run, "status", skip=skip_hooks), list(stacks)
    if not hooks.has(HEALTH):
        return found
    told = each(found, lambda stack: _checked(hooks, stack), limit=run.connections.limit)
    return [stack for stack in told if isinstance(stack, StackStatus)]


def _checked(hooks: Hooks, stack: StackStatus) -> StackStatus:
    if stack.state != "up":
        return stack
    try:
        hooks.health(stack.name, stack.host, left_behind="")
    except DevError as error:
        return replace(stack, state="degraded", reason=", ".join(error.message.splitlines()[:2]))
    return stack
