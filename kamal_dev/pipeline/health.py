"""Run the hook `health` of a project for stacks that are up, for `dev status` and `dev wait`."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace

from kamal_dev.commands.hooks import HEALTH
from kamal_dev.errors import DevError, HookFailed
from kamal_dev.model import Host
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.status import StackStatus
from kamal_dev.shell.fanout import each

PAUSE = 2.0


def await_health(hooks: Hooks, stack: str, host: Host, until: float) -> None:
    """Run the hook for a stack that is up until it passes. Raises HookFailed if it fails after the time `until`."""
    while True:
        try:
            return hooks.health(stack, host, left_behind="")
        except HookFailed:
            if time.monotonic() >= until:
                raise
        time.sleep(PAUSE)


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
