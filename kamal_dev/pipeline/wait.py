"""The story of `dev wait`: ask the host of a stack until a condition is met."""

from __future__ import annotations

import time

from kamal_dev.commands import answers
from kamal_dev.commands import wait as commands
from kamal_dev.errors import HostError, NoAnswer
from kamal_dev.model import Host
from kamal_dev.pipeline.health import await_health
from kamal_dev.pipeline.hosts.scripts import UNKNOWN, ask
from kamal_dev.pipeline.hosts.stack_projects import projects, require_services
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.project import Project

SPARE = 60.0


def wait(
    project: Project,
    connections: HostConnections,
    stacks: dict[str, Host],
    name: str,
    service: str = "",
    condition: str = "healthy",
    timeout: float | None = None,
    hooks: Hooks | None = None,
) -> int:
    """Return 0 once the condition is met; for `exited`, the exit code of the containers.

    Without a service, the whole stack counts; it is healthy when the hook `health` passes too. Raises HostError or
    HookFailed if the condition is not met in time.
    """
    commands.condition(condition)
    stack, target = running(stacks, name, project.config.service)
    if service:
        require_services(stack, projects(project, connections, {stack: target})[stack], (service,))
    seconds = project.config.deploy.timeout if timeout is None else timeout
    until = time.monotonic() + seconds
    step = commands.wait(connections.scripts, stack, condition, seconds, service)
    outcome = answers.outcome(ask(connections, target, step, timeout=seconds + SPARE).output)
    if outcome:
        if hooks and not service and condition == "healthy":
            await_health(hooks, stack, target, until)
        return int(outcome.code or 0)
    if outcome.state != "late":
        raise NoAnswer(target.name, outcome.reason, hint=UNKNOWN)
    what = f"`{service}` of {stack}" if service else stack
    port = condition.removeprefix("port=")
    wanted = {"exited": "has not exited"}.get(condition, f"is not {condition}")
    wanted = wanted if port == condition else f"is not listening on port {port}"
    reason = outcome.reason or "no containers"
    raise HostError(target.name, f"{what} {wanted} after {seconds:.0f} s: {reason}")
