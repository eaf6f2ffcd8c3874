"""The story of `dev deploy --dry-run`: print the plan, and the steps that would carry it out. Changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from kamal_dev.commands import docker, host
from kamal_dev.commands.hooks import FOLDER
from kamal_dev.devcontainer import lifecycle
from kamal_dev.errors import DevError
from kamal_dev.model import Step
from kamal_dev.pipeline.hosts.apply import apply_step
from kamal_dev.pipeline.hosts.placing import claim_steps
from kamal_dev.pipeline.hosts.planning import Planner
from kamal_dev.pipeline.hosts.prepare import allot_step, bootstrap_step, pull_step
from kamal_dev.pipeline.images.building import build_step, planned
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.images.registry import login_step
from kamal_dev.pipeline.plan import (
    DeployOptions,
    DeployScope,
    SourceScope,
    find_hosts,
    observing,
    planner_of,
    require_room,
    seen_images,
)
from kamal_dev.pipeline.run.asking import error_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import runnable
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import (
    ApplyRelease,
    Bootstrap,
    BuildImage,
    CreateHost,
    Operation,
    PullImages,
    PushImage,
    SendSource,
    StartHost,
    TransferImages,
)
from kamal_dev.plan.plan import Plan, joined
from kamal_dev.plan.volume_copy import CopyVolumes
from kamal_dev.project import Project
from kamal_dev.values import dataclass

TOKEN = "0" * 16
BEFORE, AFTER_BUILD, BEFORE_APPLY = ("pre-connect", "pre-build"), ("post-build",), ("docker-setup", "pre-deploy")


@dataclass(frozen=True)
class DryRun:
    """Hold a plan, and the commands that a deploy would run: on this machine first, then on each host in order."""

    plan: Plan
    steps: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((str(self.plan), "", *self.steps))

    def error(self) -> DevError | None:
        """Return why this plan cannot succeed, or None."""
        return error_of(self.plan, "deploy")

    def as_json(self) -> dict[str, Any]:
        """Return the output of `--json`."""
        return {**self.plan.as_json(), "steps": list(self.steps), "failed": [item.stack for item in self.plan.blocked]}


def dry_run(every: Iterable[tuple[Run, DeployOptions]]) -> DryRun:
    """Return what `dev deploy` would do now, and the steps. Runs no hook and no command of the project."""
    sources = find_hosts([SourceScope.of(*item) for item in every], is_deep=False)
    require_room(sources)
    runs = [_of_source(item) for item in sources]
    here = dict.fromkeys(line for item in runs for line in item.here)
    on_hosts = (line for item in runs for line in item.on_hosts)
    return DryRun(joined(item.plan for item in runs), (*here, *_claims(sources), *on_hosts))


def _claims(sources: list[SourceScope]) -> Iterator[str]:
    """Yield the steps that claim the names of new stacks on hosts that share them."""
    run, new = sources[0].run, {name: host for item in sources for name, host in item.scope.placed.items()}
    if new and not sources[0].options.on:
        steps = claim_steps(run.connections.scripts, run.provider.machines(), new, run.provider.registrar())
        yield from (f"{home.name}$ {step.text}" for home, step in steps.items())


@dataclass(frozen=True)
class _SourceRun:
    """Hold the plan of one source, and its commands on this machine and on hosts."""

    plan: Plan
    here: tuple[str, ...]
    on_hosts: tuple[str, ...]


def _of_source(source: SourceScope) -> _SourceRun:
    run, options, scope = source.run, source.options, source.scope
    planner = planner_of(run, options, scope, seen_images(run.project, run.tools, options))
    observations = observing(run.connections, scope, is_deep=False)
    in_scope = [observations.of(name) for name in scope.names]
    plan = planner.plan(in_scope)
    on_hosts = (line for item in in_scope for line in _on_host(run.connections, options, planner, item, plan))
    return _SourceRun(plan, tuple(_here(run, options, scope, plan)), tuple(on_hosts))


def _here(run: Run, options: DeployOptions, scope: DeployScope, plan: Plan) -> Iterator[str]:
    hooks = () if options.skip_hooks else runnable(run.project)
    if run.project.home.is_trusting and not options.skip_initialize:
        commands = (command for stage in lifecycle.initialize(run.project.devcontainer) for command in stage.commands)
        yield from (f"$ {Step(command.argv).text}" for command in commands)
    yield from (f"$ {FOLDER}/{name}" for name in BEFORE if name in hooks)
    if scope.login:
        yield f"$ {login_step(scope.login).text}"
    yield from (
        line for operation in plan.here for line in _on_this_machine(run.project, run.tools, options, operation)
    )
    yield from (f"$ {FOLDER}/{name}" for name in (*AFTER_BUILD, *BEFORE_APPLY) if name in hooks)
    yield from (f"$ create host {stack}" for stack in plan.new_hosts)
    yield from (f"$ start host {item.stack}" for item in plan.stacks if item.first(StartHost))


def _on_this_machine(
    project: Project, tools: LocalTools, options: DeployOptions, operation: Operation
) -> Iterator[str]:
    for build in planned(project):
        if build.image and isinstance(operation, BuildImage) and operation.image == build.image.reference:
            yield f"$ {build_step(project, tools, build, BuildOptions(may_push=not options.skip_push)).text}"
        if build.image and isinstance(operation, PushImage) and operation.image == build.image.reference:
            yield f"$ {docker.push(build.image).text}"


def _on_host(
    connections: HostConnections, options: DeployOptions, planner: Planner, observation: Observation, plan: Plan
) -> Iterator[str]:
    stack_plan = plan.of(observation.stack)
    ports = allot_step(connections.scripts, planner, observation) if stack_plan.operations else None
    for operation in stack_plan.operations:
        if ports and not isinstance(operation, Bootstrap | CreateHost | StartHost):
            yield f"{observation.stack}$ {ports.text}"
            ports = None
        if isinstance(operation, Bootstrap) and stack_plan.brings_watcher:
            continue
        if isinstance(operation, TransferImages):
            yield f"$ {docker.save(operation.images).text}"
        if isinstance(operation, CopyVolumes) and options.fork:
            steps = options.fork.steps(connections, observation.stack, operation.volumes)
            yield from (f"{stack}$ {step.text}" for stack, step in steps)
            continue
        if not isinstance(operation, CreateHost | StartHost):
            yield f"{observation.stack}$ {_step(connections, options, planner, observation, operation).text}"


def _step(
    connections: HostConnections,
    options: DeployOptions,
    planner: Planner,
    observation: Observation,
    operation: Operation,
) -> Step:
    """Return the step for an operation on a host, made by the code that a deploy uses."""
    if isinstance(operation, Bootstrap):
        return bootstrap_step(connections.scripts, planner.release(observation).release, operation)(TOKEN)
    if isinstance(operation, PullImages):
        return pull_step(connections.scripts, operation)(TOKEN)
    if isinstance(operation, SendSource):
        return planner.workspace.step(observation.stack)
    if isinstance(operation, TransferImages):
        return host.load(connections.scripts)
    assert isinstance(operation, ApplyRelease)
    return apply_step(connections, planner, planner.release(observation), keep_failed=options.keep_failed)(TOKEN)
