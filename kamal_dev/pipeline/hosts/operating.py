"""Stop, start, restart or scale services on one host, under the lock of the stack."""

from __future__ import annotations

import time

from kamal_dev.commands import events
from kamal_dev.commands.operate import StartLimits, operate
from kamal_dev.errors import DevError, HostError, LifecycleFailed, ServiceFailed
from kamal_dev.model import Host, Step
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.scripts import follow
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.project import Project

SPARE = 60.0
PAST = {"stop": "stopped", "start": "started", "restart": "restarted", "scale": "scaled"}


def operated(
    project: Project, connections: HostConnections, stack: str, target: Host, verb: str, services: tuple[str, ...] = ()
) -> StackResult:
    """Stop, start, restart or scale, and return how it ended. Never raises: a failure is an outcome."""
    began = time.monotonic()
    try:
        outcome = _operate(project, connections, stack, target, verb, services)
        error = None if outcome else _error(target.name, outcome, verb)
    except DevError as failure:
        return StackResult(stack, target.address, "failed", seconds=time.monotonic() - began, error=failure)
    return StackResult(
        stack,
        target.address,
        PAST[verb] if outcome else "failed",
        running=outcome.version,
        containers=outcome.containers,
        failed=outcome.failed,
        lifecycle=outcome.lifecycle,
        seconds=time.monotonic() - began,
        window=outcome.observed_ms / 1000,
        phases=tuple((phase.name, phase.seconds or 0.0) for phase in outcome.phases),
        error=error,
    )


def start(project: Project, connections: HostConnections, stack: str, target: Host, services: tuple[str, ...]) -> None:
    """Start services that were stopped. Raises DevError if they do not come up."""
    result = operated(project, connections, stack, target, "start", services)
    if result.error:
        raise result.error


def _operate(
    project: Project, connections: HostConnections, stack: str, target: Host, verb: str, services: tuple[str, ...]
) -> events.ScriptResult:
    settings, by = project.config.deploy, connections.performer

    def step(token: str) -> Step:
        limits = StartLimits(settings.timeout, settings.window, settings.restarts)
        return operate(connections.scripts, token, stack, verb, services, limits, performer=by)

    def change() -> events.ScriptResult:
        return follow(
            connections,
            target,
            step,
            timeout=settings.timeout + settings.lifecycle_timeout + SPARE,
        )

    return in_turn(connections, target, stack, change)


def _error(name: str, outcome: events.ScriptResult, verb: str) -> HostError:
    looks = f"`dev logs {name}` shows its output; `dev status {name}` shows its containers"
    hint = "" if outcome.state == "kept" else looks
    if outcome.state == "unfinished":
        return LifecycleFailed(name, outcome.reason, left_behind="its containers are running")
    kind = ServiceFailed if outcome.failed else HostError
    state = "nothing was changed" if outcome.state == "kept" else "the containers are in their current state"
    return kind(name, f"could not {verb} it: {outcome.reason}", left_behind=state, hint=hint)
