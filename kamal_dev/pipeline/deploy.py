"""The story of `dev deploy`: observe, plan, execute. Read it from top to bottom; `plan.py` has its first half."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.apply import ApplyContext, apply, failure, tell
from kamal_dev.pipeline.hosts.batches import Hosts, in_batches, reporting_hosts
from kamal_dev.pipeline.hosts.observe import Observations, observe
from kamal_dev.pipeline.hosts.placing import claim
from kamal_dev.pipeline.hosts.planning import Planner
from kamal_dev.pipeline.hosts.prepare import PrepareContext, PreparedHost, prepare
from kamal_dev.pipeline.hosts.transfer import ImageTransfer
from kamal_dev.pipeline.images.building import planned
from kamal_dev.pipeline.images.layers import Layers
from kamal_dev.pipeline.images.making import ImageMaking, MadeImages
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.plan import (
    DeployOptions,
    DeployScope,
    chosen,
    confirm,
    decide,
    final_planner,
    find_hosts,
    first_planner,
    observing,
    require_terminal,
)
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import UNTOUCHED, Hooks
from kamal_dev.pipeline.run.initialize import initialize
from kamal_dev.pipeline.run.record import DeployRecord, failed, still_known
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.plan import Plan
from kamal_dev.project import Project, untrusted
from kamal_dev.shell.fanout import Background, each

NOTHING = "nothing was built or deployed"
RUNNING = "the containers run this version"


def deploy(run: Run, options: DeployOptions) -> Report:
    """Deploy this version to every chosen stack, in parallel.

    Raises for what fails before any host is changed. A failure on a host is part of the report and does not stop the
    other hosts.
    """
    started = time.monotonic()
    run = run.within(options.timeout)
    if options.retry_failed and not (options := _again(run, options)).names:
        return Report("Deployed", str(run.project.version), (), 0.0)
    run = _initialized(run, options)
    hooks = Hooks(run, "deploy", skip=options.skip_hooks)
    scope = decide(run, options, connects=not hooks.has("pre-connect"))
    require_terminal(run.project, options, scope.creating)
    hooks.before("pre-connect", scope.hosts, left_behind=NOTHING)
    scope = find_hosts(run, options, scope, is_deep=options.is_interactive)
    making = ImageMaking(run.project, run.tools, skip_build=options.skip_build, skip_push=options.skip_push)
    # Building may start while the hosts still answer: no hook has to run first, no host has to be created, and the
    # plan is rarely confirmed.
    if scope.are_all_on and not hooks.has("pre-build") and run.project.config.deploy.confirm != "always":
        making.begin(push=not hooks.has("post-build"))
    observations = observing(run.connections, scope, is_deep=options.is_interactive)
    planner = first_planner(run, options, scope)
    plan = planner.plan(observations.soon())
    confirm(run, options, plan, before_asking=making.stop)
    try:
        with DeployRecord(run.project, run.output, run.performer, scope.names, scope.creating) as record:
            results, reached = _execute(run, options, hooks, scope, observations, making, planner, plan)
            record.ended(results, reached, time.monotonic() - started)
    except DevError as error:
        error.plan = plan.as_json()
        raise
    return replace(_report(run.project, run.output, hooks, results, time.monotonic() - started), plan=plan)


def _again(run: Run, options: DeployOptions) -> DeployOptions:
    """Return the options for the stacks whose last deploy failed and that can still be deployed."""
    if options.names:
        raise UsageError("`--retry-failed` selects the stacks", hint="omit NAME and `--host`")
    names = still_known(run.project, run.stacks, failed(run.project, run.output), options.count)
    if not names:
        run.output.info("Nothing to retry: the last deploy of every stack succeeded")
    return replace(options, names=names)


def _initialized(run: Run, options: DeployOptions) -> Run:
    # An unknown stack name is refused before any command of the project runs.
    chosen(run, options)
    if not run.project.home.is_trusting:
        run.output.warn_once(untrusted.WARNING)
        return run
    return run if options.skip_initialize else initialize(run)


def _execute(
    run: Run,
    options: DeployOptions,
    hooks: Hooks,
    scope: DeployScope,
    observations: Observations,
    making: ImageMaking,
    planner: Planner,
    plan: Plan,
) -> tuple[list[StackResult], dict[str, Host]]:
    """Carry out the plan; return the result of each stack and the prepared hosts."""
    run.provider.make_room(len(scope.creating), options.consent)
    if all(item.error for item in plan.stacks) and not observations.silent:
        making.stop()
        run.output.info("Nothing was deployed: no host can take the release")
        return [
            _failed(run.output, item.stack, scope.hosts[item.stack], item.error) for item in plan.stacks if item.error
        ], {}
    if planned(run.project) and not options.skip_build:
        hooks.before("pre-build", scope.hosts, left_behind=NOTHING)
    tunnel = RegistryTunnel(run.project, run.output, run.remote, is_wanted=not options.skip_push)
    preparing = _preparing(run, hooks, planner)
    # A missing image is reported before hosts are created for it.
    existing = _images(making, hooks, scope) if options.skip_build and scope.creating else None
    hosts = Background(lambda: _prepare_all(_ensured(run, options, scope), preparing, scope, observations))
    with reporting_hosts(scope.creating, hosts):
        images = existing or _images(making, hooks, scope)
    prepared = hosts.result()
    _before_apply(hooks, prepared)
    applying = _applying(
        run, options, scope, preparing, tunnel, final_planner(run.project, run.tools, planner, images), images
    )
    results = in_batches(
        run.project.config.deploy, run.output, prepared, lambda some: _apply_all(applying, hooks, some)
    )
    return _rolled_back(run.project, run.connections, prepared, results), _reached(prepared)


def _images(making: ImageMaking, hooks: Hooks, scope: DeployScope) -> MadeImages:
    state = "the images are built; nothing was deployed"
    return making.made(lambda: hooks.before("post-build", scope.hosts, left_behind=state))


def _preparing(run: Run, hooks: Hooks, planner: Planner) -> PrepareContext:
    # A `pre-deploy` hook or a failed first batch can still stop the release: don't move people's source forward
    # before that.
    source_waits = hooks.has("pre-deploy") or bool(run.project.config.deploy.batch)
    planner = replace(planner, is_quick=False)
    return PrepareContext(
        run.connections,
        planner,
        ImageTransfer(run.tools, run.connections),
        planner.workspace,
        hooks.owe_setup,
        source_waits,
    )


def _applying(
    run: Run,
    options: DeployOptions,
    scope: DeployScope,
    preparing: PrepareContext,
    tunnel: RegistryTunnel,
    planner: Planner,
    images: MadeImages,
) -> ApplyContext:
    layers = Layers(run.local, images.config, is_local=run.project.config.registry.is_local)
    return ApplyContext(run.connections, planner, preparing, tunnel, layers, scope.login, options.keep_failed)


def _ensured(run: Run, options: DeployOptions, scope: DeployScope) -> Mapping[str, Host | DevError]:
    """Create and start hosts, and claim the names of new stacks on hosts that exist.

    Returns the stacks whose host was not observed yet, with the host or why there is none.
    """
    made = run.provider.ensure(scope.not_on) if scope.not_on else {}
    if not scope.surveyed.contents:
        return made
    new = {name: host for name in scope.new if (host := scope.hosts[name])}
    moved: dict[str, Host] = {}
    errors: dict[str, DevError] = {}
    # Who chooses the host of a new stack decides that it is on no other.
    if new and not options.on:
        moved, errors = claim(run.connections, run.provider.machines(), new, run.provider.registrar())
    for name, host in moved.items():
        run.output.info(f"Another deploy is creating {name} on {host.address}, which is used here too", host)
    stacks = {**scope.surveyed.of(run.project), **new, **moved}
    run.provider.record({name: stacks[name] for name in stacks if name not in errors}, scope.surveyed.answering)
    return {**made, **moved, **errors}


def _prepare_all(
    made: Mapping[str, Host | DevError], context: PrepareContext, scope: DeployScope, observations: Observations
) -> Hosts:
    """Prepare each host; a failure becomes the result of its stack."""
    connections = context.connections

    def prepared(stack: str) -> PreparedHost | StackResult:
        host = made.get(stack) or scope.hosts[stack]
        if isinstance(host, DevError):
            return _failed(connections.output, stack, scope.hosts[stack], host)
        assert host is not None
        try:
            observation = (
                observe(connections, stack, host, scope.releases[stack]) if stack in made else observations.of(stack)
            )
            with connections.budget.counting(host.name):
                return prepare(context, observation)
        except DevError as error:
            return _failed(connections.output, stack, host, error)

    return [item for item in each(scope.names, prepared, limit=connections.limit) if not isinstance(item, DevError)]


def _failed(output: Output, stack: str, host: Host | None, error: DevError) -> StackResult:
    result = failure(host or Host(stack, ""), stack, error)
    tell(output, result)
    return result


def _reached(hosts: Hosts) -> dict[str, Host]:
    """Return the prepared hosts, by stack."""
    return {item.stack: item.host for item in hosts if isinstance(item, PreparedHost)}


def _before_apply(hooks: Hooks, hosts: Hosts) -> None:
    """Run the hooks that come between preparing the hosts and applying the release."""
    stacks = _reached(hosts)
    hooks.docker_setup(stacks)
    if stacks:
        hooks.before("pre-deploy", stacks, left_behind=f"images are built and hosts are prepared; {UNTOUCHED}")


def _apply_all(context: ApplyContext, hooks: Hooks, hosts: Hosts) -> list[StackResult]:
    def bring_up(prepared: PreparedHost | StackResult) -> StackResult:
        if isinstance(prepared, StackResult):
            return prepared
        result = hooks.checked(apply(context, prepared), prepared.host, left_behind=RUNNING)
        tell(context.connections.output, result)
        return result

    return [
        result for result in each(hosts, bring_up, limit=context.connections.limit) if isinstance(result, StackResult)
    ]


def _rolled_back(
    project: Project, connections: HostConnections, hosts: Hosts, results: list[StackResult]
) -> list[StackResult]:
    """Roll every stack back if one failed and `deploy.rollback` is `all`."""
    if project.config.deploy.rollback != "all" or all(result.is_fine for result in results):
        return results
    from kamal_dev.pipeline.hosts.rolling_back import rollback_all

    return rollback_all(project, connections, _reached(hosts), results)


def _report(project: Project, output: Output, hooks: Hooks, results: list[StackResult], seconds: float) -> Report:
    is_named = bool(project.source_origin.ref)
    report = Report("Deployed", str(project.version), tuple(results), seconds, is_named=is_named)
    if report.failed:
        taken = [result for result in results if result.before is not None]
        return replace(report, hook=hooks.after_rollback(taken, seconds))
    report.tell(output)
    return replace(report, hook=hooks.after_deploy(results, seconds))
