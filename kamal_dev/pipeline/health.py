"""Run the hook `health` of a project for stacks that are up, for `dev status`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from kamal_dev.commands.hooks import HEALTH
from kamal_dev.errors import DevError
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.status import StackStatus
from kamal_dev.shell.fanout import each


def checked(hooks: Hooks, stacks: Iterable[StackStatus], limit: int) -> list[StackStatus]:
    """Return the stacks after checking `limit` of them at a time; one that is up is `degraded` if the hook fails."""
    if not hooks.has(HEALTH):
        return list(stacks)
    results = each(stacks, lambda stack: _checked(hooks, stack), limit=limit)
    return [stack for stack in results if isinstance(stack, StackStatus)]


def _checked(hooks: Hooks, stack: StackStatus) -> StackStatus:
    if stack.state != "up":
        return stack
    try:
        hooks.health(stack.name, stack.host, left_behind="")
    except DevError as error:
        return replace(stack, state="degraded", reason=", ".join(error.message.splitlines()[:2]))
    return stack
