"""Apply a release to one stack, and report what runs afterwards."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace

from kamal_dev.commands import events, host, refusal
from kamal_dev.commands.image_manifest import Layer
from kamal_dev.devcontainer import lifecycle
from kamal_dev.errors import (
    DevError,
    DiskFull,
    HostError,
    HostTimeout,
    LifecycleFailed,
    NoAnswer,
    PullFailed,
    ServiceFailed,
    StackRemoved,
)
from kamal_dev.model import Host, Step
from kamal_dev.output import Output
from kamal_dev.output.event import Phase
from kamal_dev.pipeline.hosts.forking import Fork
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.planning import Planner, StackRelease
from kamal_dev.pipeline.hosts.prepare import PrepareContext, PreparedHost, bootstrap, observed_again
from kamal_dev.pipeline.hosts.scripts import LATER, ServiceNames, follow
from kamal_dev.pipeline.images.layers import Layers
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.plan.operation import ApplyRelease, Bootstrap, SendSource, TransferImages
from kamal_dev.plan.plan import StackPlan
from kamal_dev.project import Project
from kamal_dev.values import dataclass

SPARE = 1800.0  # seconds for pulling and a rollback, on top of the timeouts of the release


@dataclass(frozen=True)
class ApplyContext:
    """Hold what all hosts of one deploy share; `planner` knows the built images and their digests.

    New stacks start with the volumes of `fork`, if there is one.
    """

    connections: HostConnections
    planner: Planner
    preparing: PrepareContext
    tunnel: RegistryTunnel
    layers: Layers
    login: host.Login | None = None
    keep_failed: bool = False
    fork: Fork | None = None


def apply(context: ApplyContext, prepared: PreparedHost) -> StackResult:
    """Apply the release of one stack as planned, once all images are known. Never raises: a failure is a result."""
    started = time.monotonic()
    try:
        with context.connections.budget.counting(prepared.host.name):
            if prepared.is_old:
                prepared = observed_again(context.preparing, prepared)
            result = _apply(context, prepared)
            if isinstance(result.error, StackRemoved):
                result = _apply(context, observed_again(context.preparing, prepared))
    except DevError as error:
        return failure(prepared.host, prepared.stack, error, time.monotonic() - started)
    return replace(result, seconds=time.monotonic() - started)


def failure(target: Host, stack: str, error: DevError, seconds: float = 0.0) -> StackResult:
    """Return the outcome of a stack whose host failed before it could report what runs."""
    state = "unknown" if isinstance(error, HostTimeout | NoAnswer) else "failed"
    return StackResult(stack, target.address, state, seconds=seconds, error=error)


def _apply(context: ApplyContext, prepared: PreparedHost) -> StackResult:
    if context.fork:
        context, prepared = _forked(context, context.fork, prepared)
    target, facts = prepared.host, prepared.facts
    prepared, plan, made = _supplied(context, prepared)
    if plan.first(ApplyRelease) is None:
        if operation := plan.first(Bootstrap):
            bootstrap(context.preparing, prepared.observation, operation)
        return StackResult(prepared.stack, target.address, "unchanged", str(made.release.version), facts.containers)
    result = _change(context, prepared, made, brings_watcher=plan.brings_watcher)
    return outcome(target, prepared.stack, str(made.release.version), result, done="deployed")


def _forked(context: ApplyContext, fork: Fork, prepared: PreparedHost) -> tuple[ApplyContext, PreparedHost]:
    """Create the containers of a new stack, and copy volumes to it; return what is needed to start it. Raises DevError.

    If that fails, nothing of the stack is left.
    """
    connections, target, stack = context.connections, prepared.host, prepared.stack
    with fork.work(connections) as add_work, fork.expected(connections, target, stack):
        prepared, plan, made = _supplied(context, prepared)
        add_work(target, stack, context.preparing.workspace.folder)
        created = _change(context, prepared, made, brings_watcher=plan.brings_watcher, arrival=fork.token)
        if not created:
            raise _error(target.name, created)
        fork.fill(connections, target, made.release)
    # Its volumes are complete, so that it is deployed like any other stack.
    request = replace(context.planner.request, copied=None)
    planner = replace(context.planner, request=request)
    return replace(context, planner=planner, fork=None), observed_again(context.preparing, prepared)


def _supplied(context: ApplyContext, prepared: PreparedHost) -> tuple[PreparedHost, StackPlan, StackRelease]:
    """Send the source and the images that the plan says, and return the plan. Raises its error."""
    target = prepared.host
    plan, made = context.planner.stack(prepared.observation, source=prepared.source)
    if plan.error:
        raise plan.error
    for warning in plan.warnings:
        context.connections.output.warn_once(f"{target.name}: {warning}")
    if plan.first(SendSource):
        workspace = context.preparing.workspace
        sent = workspace.send(target, prepared.stack, prepared.facts)
        prepared = prepared.sent(workspace.folder, sent)
        plan, made = context.planner.stack(prepared.observation, source=sent)
    if plan.first(ApplyRelease) and (sending := plan.first(TransferImages)):
        shell = context.connections.remote(target)
        context.preparing.transfer.send_to(target, shell, host.load(context.connections.scripts), sending.images)
    return prepared, plan, made


def _change(
    context: ApplyContext, prepared: PreparedHost, made: StackRelease, *, brings_watcher: bool, arrival: str = ""
) -> events.ScriptResult:
    """Apply a release on a host whose workspace has its source; with `arrival`, only create its containers."""
    connections, target, facts = context.connections, prepared.host, prepared.facts
    is_pulling = not context.planner.request.over_ssh
    images = dict.fromkeys(image for _, image in made.release.images)
    lacking = tuple(image for image in images if is_pulling and not facts.has(image))
    layers = context.layers.to_pull(lacking, facts) if lacking else ()
    pulled = (*map(str, lacking), *prepared.missing) if is_pulling else ()
    step = apply_step(
        connections,
        context.planner,
        made,
        pulled,
        layers,
        login=context.login,
        keep_failed=context.keep_failed,
        brings_watcher=brings_watcher,
        arrival=arrival,
    )

    def change() -> events.ScriptResult:
        project = context.planner.project
        services = ServiceNames.of(made.release.images, project.main)
        return follow(connections, target, step, timeout=deadline(project), services=services)

    lent = (lambda: context.tunnel.lent(target, change)) if lacking else change
    return in_turn(connections, target, made.release.stack, lent)


def apply_step(
    connections: HostConnections,
    planner: Planner,
    made: StackRelease,
    pull: tuple[str, ...] = (),
    layers: tuple[Layer, ...] = (),
    *,
    login: host.Login | None = None,
    keep_failed: bool = False,
    brings_watcher: bool = False,
    arrival: str = "",
) -> Callable[[str], Step]:
    """Return the step that applies a release; the host pulls the images in `pull`, whose layers are `layers`."""
    config, release, configuration = planner.project.config, made.release, made.devcontainer
    sends = bool(release.workspace) and planner.request.source in ("git", "sync")
    restore = config.deploy.rollback != "never"
    return lambda token: host.apply(
        connections.scripts,
        token,
        release,
        timeout=config.deploy.timeout,
        window=config.deploy.window,
        restarts=config.deploy.restarts,
        pull=pull,
        layers=layers,
        services=release.services,
        workspace=release.workspace,
        brought=planner.request.folder if sends else "",
        login=login,
        performer=connections.performer,
        user=configuration.remote_user or configuration.container_user,
        lifecycle=lifecycle.files(configuration, config.deploy.lifecycle_timeout),
        parts=made.candidate.parts,
        keeping=host.Keeping(config.retain, restore, keep_failed, planner.request.recreate),
        brings_watcher=brings_watcher,
        arrival=arrival,
    )


def deadline(project: Project) -> float:
    """Return the number of seconds after which `dev` stops waiting for a release."""
    settings = project.config.deploy
    return settings.timeout + settings.lifecycle_timeout + SPARE


def outcome(target: Host, stack: str, version: str, result: events.ScriptResult, *, done: str) -> StackResult:
    """Turn the host's verdict into the outcome of the stack; `done` is its state if all went well."""
    known = StackResult(
        stack,
        target.address,
        {"same": "unchanged", "unknown": "unknown"}.get(result.state, done if result else "failed"),
        running=version if result else _running(result),
        containers=result.containers,
        failed=result.failed,
        lifecycle=result.lifecycle,
        window=result.observed_ms / 1000,
        phases=tuple((phase.name, phase.seconds or 0.0) for phase in result.phases),
        release="" if result or result.current == result.release else distinguishing_id(result.current, version),
        before=result.previous if result.state in ("new", "unfinished") and result.previous != result.release else None,
    )
    return known if result else replace(known, error=_error(target.name, result))


def _running(result: events.ScriptResult) -> str:
    """Return the version that runs after a failure."""
    return version_of(result.current) if result.state in ("restored", "untouched", "unfinished") else ""


def distinguishing_id(release_id: str, version: str) -> str:
    """Return the id of the running release if another release has the same version, else an empty string."""
    return release_id if version_of(release_id) == version else ""


def version_of(release_id: str) -> str:
    """Return the version of a release; its id is the version and a hash."""
    return release_id.rpartition("-")[0]


def _error(name: str, result: events.ScriptResult) -> HostError:
    state = LEFT.get(result.state, "unknown; check with `dev status`")
    if result.phase == "pull":
        failure_of = DiskFull if result.code == "disk" else PullFailed
        return failure_of(name, result.reason, left_behind=state, hint=_hint(result, _pull_hint(result.reason)))
    if result.failed:
        loops = any(container.state == "crash loop" for container in result.failed)
        hint = RESTARTS_HINT if loops else SERVICE_HINT
        return ServiceFailed(name, result.reason, left_behind=state, hint=hint)
    if result.state == "unfinished":
        what = "; ".join(map(_words, result.lifecycle)) or result.reason
        return LifecycleFailed(name, what, left_behind=state, hint=LIFECYCLE_HINT)
    if result.code == "removed":
        return StackRemoved(name, result.reason, left_behind=state, hint="deploy again after the removal")
    what = f"{result.phase or 'apply'}: {result.reason}"
    if result.state == "interrupted":
        return HostError(name, what, left_behind=state, hint=INTERRUPTED_HINT)
    return HostError(name, what, left_behind=state, hint=_hint(result, LATER if result.state == "unknown" else ""))


def _hint(result: events.ScriptResult, otherwise: str) -> str:
    return {"disk": DISK_HINT, "networks": NETWORKS_HINT}.get(result.code, otherwise)


def _pull_hint(reason: str) -> str:
    """Return the hint for a failed pull, based on what the registry told the host."""
    named = re.search(r"([\w.-]+(?::\d+)?)/\S+: ", reason)
    server = named[1] if named and re.search(r"[.:]|^localhost", named[1]) else "the registry"
    # A full disk on the host has a result code of its own, with its own hint.
    advice = "" if refusal.cause(reason) == "space" else refusal.hint(reason, server)
    return f"{advice}; {OVER_SSH}" if advice else f"{PULL_HINT}; {OVER_SSH}"


def _words(failed: events.Lifecycle) -> str:
    line, *more = failed.command.splitlines() or [""]
    stage = f"{failed.stage} ({failed.name})" if failed.name else failed.stage
    return f"{stage}: `{line}{' …' if more else ''}`: {failed.reason}"


LEFT = {
    "untouched": "no container was changed",
    "restored": "the last good release is running again",
    "failed": "the failed containers were left in place",
    "stopped": "the containers were stopped and kept; there is no good release to roll back to",
    "unfinished": "the containers run this version; the next deploy resumes with the failed command",
    "rollback_failed": "the containers of a failed rollback; `dev status` shows what is running",
    "interrupted": "the run ended between two releases; `dev status` shows what is running",
}
INTERRUPTED_HINT = "`dev deploy` completes it; `dev rollback` goes back to the previous good release, if there is one"
NETWORKS_HINT = (
    "remove stacks that are no longer needed, and unused networks (`docker network prune` on the host); or add more "
    "and smaller `default-address-pools` to /etc/docker/daemon.json there, and restart Docker"
)
DISK_HINT = "`dev prune` removes old releases and their images"
PULL_HINT = "check that the image exists and that the host reaches its registry"
OVER_SSH = "`--skip-push` sends it over SSH"
LIFECYCLE_HINT = "fix the command and deploy again: it resumes with that command"
SERVICE_HINT = "fix the service and deploy again; `dev status` shows what is running"
RESTARTS_HINT = (
    "fix the service and deploy again; if it waits for another service by restarting, raise `deploy.restarts`"
)


def tell(output: Output, outcome: StackResult) -> None:
    """Print how the change of a stack ended: what runs, or why it failed and what to do."""
    target, took = Host(outcome.stack, outcome.address), {"seconds": outcome.seconds}
    if outcome.error:
        names = {container.service for container in outcome.failed}
        service = names.pop() if len(names) == 1 else ""
        output.fail("deploying", outcome.error, target, log=explain(outcome), service=service)
    elif outcome.state == "unchanged":
        output.skip("deploying", outcome.running, target, **took)
    else:
        phase: Phase = "rolling_back" if outcome.state == "rolled back" else "deploying"
        output.done(phase, outcome.running, target, **took)


def explain(outcome: StackResult) -> list[str]:
    """Return the lines that explain a failure: the reasons and the last log lines."""
    lines: list[str] = []
    for container in outcome.failed:
        lines.append(f"{container.service}: {container.reason}")
        lines += [f"  {line}" for line in container.log.splitlines()]
    for command in outcome.lifecycle:
        # The message already names the command; its output is shown unchanged.
        name = f"[{command.name}] " if command.name else ""
        lines += [f"{name}{line}" for line in command.log.splitlines()]
    return lines
