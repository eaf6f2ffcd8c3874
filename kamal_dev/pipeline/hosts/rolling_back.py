"""Roll one stack back to a release that its host still has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from kamal_dev.commands import events, host
from kamal_dev.commands.host import Login
from kamal_dev.errors import DevError, HostError, PullFailed, ServiceFailed
from kamal_dev.model import Host, Step, short
from kamal_dev.pipeline.hosts.apply import LEFT, deadline, distinguishing_id, failure, outcome, tell, version_of
from kamal_dev.pipeline.hosts.batches import ALL
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.scripts import follow
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Reach:
    """Hold how a host can pull missing images: the registry login, and the tunnel to the registry of this machine."""

    lending: RegistryTunnel
    login: Login | None = None


def back(
    project: Project,
    connections: HostConnections,
    stack: str,
    target: Host,
    release_id: str,
    reach: Reach | None = None,
    *,
    current: str = "",
) -> StackResult:
    """Roll one stack back to a release on its host. Never raises: a failure is an outcome.

    `current` is the version that is replaced; the outcome uses it to tell releases of the same version apart. With
    `reach`, missing images are pulled; without it, only images that the host can pull by itself.
    """
    started = time.monotonic()
    try:
        verdict = _rollback(project, connections, stack, target, release_id, reach)
        result = outcome(target, stack, version_of(release_id), verdict, done="rolled back")
        if verdict:
            result = replace(result, release=distinguishing_id(release_id, current))
    except DevError as error:
        result = failure(target, stack, error)
    if result.error:
        result.error.hint = _advice(result, result.error, release_id)
    return replace(result, seconds=time.monotonic() - started)


def _rollback(
    project: Project, connections: HostConnections, stack: str, target: Host, release_id: str, reach: Reach | None
) -> events.ScriptResult:
    """Roll back on the host, once no other run is changing the stack."""
    settings = project.config.deploy

    def step(token: str) -> Step:
        return host.rollback(
            connections.scripts,
            token,
            stack,
            release_id,
            timeout=settings.timeout,
            window=settings.window,
            restarts=settings.restarts,
            login=reach.login if reach else None,
            performer=connections.performer,
        )

    def change() -> events.ScriptResult:
        return follow(connections, target, step, timeout=deadline(project))

    return in_turn(connections, target, stack, (lambda: reach.lending.lent(target, change)) if reach else change)


def _advice(ended: StackResult, error: DevError, release_id: str) -> str:
    """Return the hint for a failed rollback; the hint of a deploy would lead to another version."""
    if isinstance(error, PullFailed):
        return "`dev versions` shows which releases have their images; or deploy that commit again"
    if isinstance(error, ServiceFailed):
        return f"`dev versions` shows the good releases; `dev rollback {ended.stack} VERSION` selects another"
    if ended.state == "unknown":
        again = f"dev rollback {ended.stack} {short(version_of(release_id))}"
        return f"check with `dev status`; `{again}` continues"
    return error.hint


def rollback_all(
    project: Project, connections: HostConnections, hosts: Mapping[str, Host], outcomes: list[StackResult]
) -> list[StackResult]:
    """Roll back every stack that took the new version, and return the outcomes.

    A stack without a previous release is stopped. Stacks that were skipped or do not answer stay as they are.
    """
    failed = ", ".join(o.stack for o in outcomes if not o.is_fine and o.state != "skipped")
    reason = f"{failed} failed, and {ALL}"

    def settle(ended: StackResult) -> StackResult:
        return ended if ended.before is None else _bring_back(project, connections, hosts[ended.stack], ended, reason)

    return [ended for ended in each(outcomes, settle, limit=connections.limit) if isinstance(ended, StackResult)]


def _bring_back(
    project: Project, connections: HostConnections, target: Host, ended: StackResult, reason: str
) -> StackResult:
    connections.output.start("rolling_back" if ended.before else "stopping", version_of(ended.before or ""), target)
    if ended.before:
        went = back(project, connections, ended.stack, target, ended.before, current=str(project.version))
    else:
        went = _stop(project, connections, ended.stack, target)
    word, state = ("rolled back", LEFT["restored"]) if ended.before else ("stopped", LEFT["stopped"])
    if went.error:
        message = f"could not be {word}: {went.error.message}"
        why: DevError = HostError(target.name, message, hint=went.error.hint, left_behind=went.error.left_behind)
    else:
        # The stack's own failure says more than the fact that another stack failed.
        why = ended.error or HostError(target.name, f"{word}, because {reason}")
        why.left_behind = state
        went = replace(went, state=word)
    settled = replace(went, before=ended.before, lifecycle=ended.lifecycle or went.lifecycle, error=why)
    tell(connections.output, settled)
    return settled


def _stop(project: Project, connections: HostConnections, stack: str, target: Host) -> StackResult:
    def change() -> events.ScriptResult:
        return follow(
            connections,
            target,
            lambda token: host.stop(connections.scripts, token, stack, performer=connections.performer),
            timeout=deadline(project),
        )

    try:
        result = in_turn(connections, target, stack, change)
        return outcome(target, stack, "", result, done="stopped")
    except DevError as error:
        return failure(target, stack, error)
