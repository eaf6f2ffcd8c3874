"""The story of `dev` without a command: suggest the next one."""

from __future__ import annotations

from collections.abc import Iterable

from kamal_dev.pipeline.status import StackStatus
from kamal_dev.project import HERE


def next_command(stacks: Iterable[StackStatus], version: str, *, has_config: bool) -> tuple[str, str]:
    """Return a command and what it does, for the states of the stacks and the `version` of the working tree."""
    if not has_config:
        return "dev init", "writes config/dev.yml"
    states = {stack.name: stack.state for stack in stacks}
    present = {stack.name: stack for stack in stacks if stack.state != "absent"}
    if not present:
        return "dev deploy", "builds the images and starts the first stack"
    for state, (verb, what) in _AMISS.items():
        if names := [name for name, value in states.items() if value == state]:
            return f"dev {verb}" if verb == "doctor" else f"dev {verb} {names[0]}", what
    if old := [name for name, stack in present.items() if stack.version != version and stack.ref in ("", HERE)]:
        return f"dev deploy {' '.join(old) if len(old) < len(present) else ''}".rstrip(), "deploys the current version"
    return f"dev ssh {next(iter(present))}", "opens a shell in the workspace"


# By priority.
_AMISS = {
    "unreachable": ("doctor", "checks all hosts"),
    "unknown": ("doctor", "checks all hosts"),
    "degraded": ("status", "shows what is wrong"),
    "down": ("deploy", "starts its containers"),
    "unfinished": ("deploy", "runs the lifecycle commands that are pending"),
    "off": ("deploy", "starts the host"),
    "stopped": ("start", "starts what was stopped"),
}
