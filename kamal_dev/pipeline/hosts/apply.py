"""Bring one stack to its release, and say truthfully what runs afterwards."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from functools import cached_property

from kamal_dev import compose
from kamal_dev.commands import events, host, refusal
from kamal_dev.commands.manifest import Layer
from kamal_dev.compose import Rewritten
from kamal_dev.devcontainer import lifecycle
from kamal_dev.errors import (
    DevError,
    HostError,
    HostTimeout,
    LifecycleFailed,
    NoAnswer,
    PullFailed,
    ServiceFailed,
    StackRemoved,
)
from kamal_dev.model import Host, Image, Release, Step
from kamal_dev.output.event import Phase
from kamal_dev.pipeline.hosts.admission import require
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.prepare import PreparedHost, afresh, brought, is_old
from kamal_dev.pipeline.hosts.release import render_release
from kamal_dev.pipeline.hosts.scripts import LATER, follow
from kamal_dev.pipeline.hosts.transfer import ImageTransfer
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.images import platforms
from kamal_dev.pipeline.images.layers import Layers
from kamal_dev.pipeline.images.metadata import Merged, Metadata
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run

SPARE = 1800.0  # seconds beyond what the release and its lifecycle commands have, for pulling and for putting back


@dataclass(frozen=True)
class ApplyContext:
    """Hold what all hosts of one deploy share; `images` are those built, with their digests.

    `workspace` brings the source where it was not brought before, `source` where somebody has removed it since;
    `recreate` makes every container anew.
    """

    run: Run
    images: dict[str, Image]
    metadata: Metadata
    parcels: ImageTransfer
    lending: RegistryTunnel
    source: Workspace
    login: host.Login | None = None
    over_ssh: bool = False
    keep_failed: bool = False
    layers: Layers | None = None
    workspace: Workspace | None = None
    recreate: bool = False

    @cached_property
    def files(self) -> Rewritten:
        """The compose files with these images, the same for every host that has none of them under another name."""
        return compose.rewritten(self.run.project.compose, self.images)


def apply(work: ApplyContext, ready: PreparedHost, release: Release) -> StackResult:
    """Bring the release up, unless it is there and stands. Never raises: a failure is an outcome."""
    started = time.monotonic()
    try:
        with work.run.budget.counting(ready.host.name):
            if is_old(work.run, ready):
                ready = afresh(work.run, ready, release, work.source)
            outcome = _apply(work, ready, release)
            if isinstance(outcome.error, StackRemoved):
                outcome = _apply(work, afresh(work.run, ready, release, work.source), release)
    except DevError as error:
        return failure(ready.host, ready.stack, error, time.monotonic() - started)
    return replace(outcome, seconds=time.monotonic() - started)


def failure(target: Host, stack: str, error: DevError, seconds: float = 0.0) -> StackResult:
    """Return the outcome of a stack whose host failed before it could say what runs."""
    state = "unknown" if isinstance(error, HostTimeout | NoAnswer) else "failed"
    return StackResult(stack, target.address, state, seconds=seconds, error=error)


def _apply(work: ApplyContext, ready: PreparedHost, release: Release) -> StackResult:
    run, target = work.run, ready.host
    merged = work.metadata.merged(ready.facts)
    require(run, merged.devcontainer, target, ready.facts)
    source = ready.source
    if work.workspace and release.workspace:
        source = work.workspace.bring(target, ready.stack, ready.facts)
    release, made_of = _final(work, release, merged, ready)
    platforms.require(target, ready.facts, work.images.values())
    lacking = tuple(image for image in dict.fromkeys(dict(release.images).values()) if not ready.facts.has(image))
    has_news = source in ("new", "moved") and lifecycle.follows_source(merged.devcontainer)
    # The host writes down that it is well again where the last change of it failed.
    is_same = ready.facts.runs(release) and ready.facts.last is None
    if is_same and not (lacking or has_news or work.recreate):
        return StackResult(ready.stack, target.address, "unchanged", str(release.version), ready.facts.containers)
    if work.over_ssh and lacking:
        wanted = tuple(image.reference for image in lacking)
        work.parcels.send(target.name, run.remote(target), host.load(run.scripts), wanted)
    fetched = Fetched() if work.over_ssh else _fetched(work, ready, lacking)

    def step(token: str) -> Step:
        return _step(work, token, release, merged, fetched, made_of)

    def change() -> events.ScriptResult:
        return follow(run, target, step, timeout=deadline(run))

    lent = (lambda: work.lending.lent(target, change)) if lacking and not work.over_ssh else change
    return outcome(
        target, release.stack, str(release.version), in_turn(run, target, release.stack, lent), done="deployed"
    )


@dataclass(frozen=True)
class Fetched:
    """Hold the images that a host is to pull, and the layers that they consist of."""

    images: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()


def _fetched(work: ApplyContext, ready: PreparedHost, lacking: tuple[Image, ...]) -> Fetched:
    layers = work.layers.to_pull(lacking, ready.facts) if work.layers and lacking else ()
    return Fetched((*map(str, lacking), *ready.missing), layers)


def _final(work: ApplyContext, draft: Release, merged: Merged, ready: PreparedHost) -> tuple[Release, str]:
    """Return the release with the host's address, what its main image adds and what was built; and its parts."""
    project = work.run.project
    images = {name: _as_held(work, image, ready.facts) for name, image in work.images.items()}
    files = work.files if images == work.images else compose.rewritten(project.compose, images)
    release = render_release(project, draft.stack, additions=merged.additions, address=ready.host.address, ready=files)
    return release, compose.parts(project.compose, files, release)


def _as_held(work: ApplyContext, image: Image, facts: events.Facts) -> Image:
    """Return an image as a host runs it: what travels over SSH has its digest only where it was pulled before."""
    return replace(image, digest="") if work.over_ssh and not facts.has(image) else image


def _step(work: ApplyContext, token: str, release: Release, merged: Merged, fetched: Fetched, made_of: str) -> Step:
    project = work.run.project
    return host.apply(
        work.run.scripts,
        token,
        release,
        timeout=project.config.deploy.timeout,
        window=project.config.deploy.window,
        restarts=project.config.deploy.restarts,
        pull=fetched.images,
        layers=fetched.layers,
        services=release.services,
        workspace=release.workspace,
        brought=brought(work.run, work.source, release),
        login=work.login,
        performer=work.run.performer,
        user=merged.devcontainer.remote_user or merged.devcontainer.container_user,
        lifecycle=lifecycle.files(merged.devcontainer, project.config.deploy.lifecycle_timeout),
        parts=made_of,
        keeping=_keeping(work),
    )


def _keeping(work: ApplyContext) -> host.Keeping:
    config = work.run.project.config
    return host.Keeping(config.retain, config.deploy.rollback != "never", work.keep_failed, work.recreate)


def deadline(run: Run) -> float:
    """Return the seconds after which nobody waits any longer for a release."""
    settings = run.project.config.deploy
    return settings.timeout + settings.lifecycle_timeout + SPARE


def outcome(target: Host, stack: str, version: str, told: events.ScriptResult, *, done: str) -> StackResult:
    """Turn the host's own verdict into the stack's outcome; `done` is the state of one that went well."""
    known = StackResult(
        stack,
        target.address,
        {"same": "unchanged", "unknown": "unknown"}.get(told.state, done if told else "failed"),
        running=version if told else _running(told),
        containers=told.containers,
        failed=told.failed,
        lifecycle=told.lifecycle,
        window=told.observed_ms / 1000,
        phases=tuple((phase.name, phase.seconds or 0.0) for phase in told.phases),
        release="" if told or told.current == told.release else distinguishing_id(told.current, version),
        before=told.previous if told.state in ("new", "unfinished") and told.previous != told.release else None,
    )
    return known if told else replace(known, error=_error(target.name, told))


def _running(told: events.ScriptResult) -> str:
    """Return the version that runs after a failure."""
    return version_of(told.current) if told.state in ("restored", "kept", "unfinished") else ""


def distinguishing_id(release_id: str, version: str) -> str:
    """Return the id of a release that runs where it has this version, which another has too; else nothing."""
    return release_id if version_of(release_id) == version else ""


def version_of(release_id: str) -> str:
    """Return a release's version: its id is that and a hash."""
    return release_id.rpartition("-")[0]


def _error(name: str, told: events.ScriptResult) -> HostError:
    left = LEFT.get(told.state, "unknown; `dev status` asks the host")
    if told.phase == "pull":
        return PullFailed(name, told.reason, left_behind=left, hint=_hint(told, _pull_hint(told.reason)))
    if told.failed:
        loops = any("restarted" in container.reason for container in told.failed)
        hint = RESTARTS_HINT if loops else SERVICE_HINT
        return ServiceFailed(name, told.reason, left_behind=left, hint=hint)
    if told.state == "unfinished":
        what = "; ".join(map(_words, told.lifecycle)) or told.reason
        return LifecycleFailed(name, what, left_behind=left, hint=LIFECYCLE_HINT)
    if told.code == "removed":
        return StackRemoved(name, told.reason, left_behind=left, hint="deploy again, once nobody removes it")
    what = f"{told.phase or 'apply'}: {told.reason}"
    if told.state == "interrupted":
        return HostError(name, what, left_behind=left, hint=INTERRUPTED_HINT)
    return HostError(name, what, left_behind=left, hint=_hint(told, LATER if told.state == "unknown" else ""))


def _hint(told: events.ScriptResult, otherwise: str) -> str:
    return {"disk": DISK_HINT, "networks": NETWORKS_HINT}.get(told.code, otherwise)


def _pull_hint(reason: str) -> str:
    """Return what to do about a pull: what its registry said on the host counts."""
    named = re.search(r"([\w.-]+(?::\d+)?)/\S+: ", reason)
    server = named[1] if named and re.search(r"[.:]|^localhost", named[1]) else "the registry"
    # Room on the host is said by its own code.
    advice = "" if refusal.cause(reason) == "space" else refusal.hint(reason, server)
    return f"{advice}; {OVER_SSH}" if advice else f"{PULL_HINT}; {OVER_SSH}"


def _words(failed: events.Lifecycle) -> str:
    line, *more = failed.command.splitlines() or [""]
    return f"{failed.stage}: `{line}{' …' if more else ''}`: {failed.reason}"


LEFT = {
    "kept": "nothing was changed on the host",
    "restored": "the last good release was put back and runs",
    "left": "the containers are as they fell, as was asked for",
    "stopped": "the containers were stopped and kept for a look; there was no good release to go back to",
    "unfinished": "the containers run this version; the next deploy runs what failed again, and what comes after it",
    "broken": "see the containers: no release could be put back",
    "interrupted": "it was ended between two releases: see the containers",
}
INTERRUPTED_HINT = (
    "`dev deploy` goes on from there; `dev rollback` brings the good release before back, where there is one"
)
NETWORKS_HINT = (
    "Docker on the host has no range of addresses left for another network: remove stacks that nobody needs, and "
    "`docker network prune` there; or give it more and smaller ones, `default-address-pools` in /etc/docker/daemon.json"
)
DISK_HINT = "`dev prune` removes what earlier deploys have left over there"
PULL_HINT = "check that the image exists and that the host reaches its registry"
OVER_SSH = "`--skip-push` sends it over SSH"
LIFECYCLE_HINT = "fix the command and deploy again: it runs again, and so does what comes after it"
SERVICE_HINT = "fix the service and deploy again; `dev status` shows what runs now"
RESTARTS_HINT = (
    "fix the service and deploy again; if it waits for another service by restarting, raise `deploy.restarts`"
)


def tell(run: Run, outcome: StackResult) -> None:
    """Show how a stack's change ended: what runs, or why it failed and what to do."""
    target, took = Host(outcome.stack, outcome.address), {"seconds": outcome.seconds}
    if outcome.error:
        run.output.fail("deploying", outcome.error, target, log=explain(outcome))
    elif outcome.state == "unchanged":
        run.output.skip("deploying", outcome.running, target, **took)
    else:
        phase: Phase = "rolling_back" if outcome.state == "rolled back" else "deploying"
        run.output.done(phase, outcome.running, target, **took)


def explain(outcome: StackResult) -> list[str]:
    """Return the lines that tell of a failure: reasons and last words."""
    lines: list[str] = []
    for container in outcome.failed:
        lines.append(f"{container.service}: {container.reason} ({container.state}, exit code {container.exit_code})")
        lines += [f"  {line}" for line in container.log.splitlines()]
    for command in outcome.lifecycle:
        lines.append(f"{command.stage}{f' ({command.name})' if command.name else ''}: {command.command}")
        lines += [f"  {line}" for line in command.log.splitlines()]
    return lines
