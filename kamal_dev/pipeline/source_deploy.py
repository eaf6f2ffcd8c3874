"""Deploy one source, next to others: decide, plan, carry out. Read `deploy.py` first, which has the order of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import field, replace
from functools import partial
from threading import Lock, Semaphore

from kamal_dev.commands.expiry import LifetimeLimits
from kamal_dev.commands.hooks import BACKUP
from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.apply import ApplyContext, apply, failure, tell
from kamal_dev.pipeline.hosts.batches import Hosts, in_batches, reporting_hosts
from kamal_dev.pipeline.hosts.lifetimes import with_lifetime
from kamal_dev.pipeline.hosts.observe import Observations, observe
from kamal_dev.pipeline.hosts.placing import claim
from kamal_dev.pipeline.hosts.planning import Planner
from kamal_dev.pipeline.hosts.prepare import MachineSetups, PrepareContext, PreparedHost, prepare
from kamal_dev.pipeline.hosts.transfer import ImageTransfer
from kamal_dev.pipeline.images.building import planned
from kamal_dev.pipeline.images.layers import Layers
from kamal_dev.pipeline.images.making import ImageMaking, MadeImages
from kamal_dev.pipeline.images.parallel import BuildRoom
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.plan import (
    DeployOptions,
    DeployScope,
    SourceScope,
    chosen,
    decide,
    final_planner,
    first_planner,
    observing,
)
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import UNTOUCHED, Hooks
from kamal_dev.pipeline.run.initialize import initialize
from kamal_dev.pipeline.run.record import DeployRecord
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.plan.placement import at
from kamal_dev.plan.plan import Plan
from kamal_dev.project import Project, untrusted
from kamal_dev.shell.fanout import Background, each, once
from kamal_dev.values import dataclass

NOTHING = "nothing was built or deployed"
RUNNING = "the containers run this version"
CREATING = 8  # hosts that are created at once for different sources

Reached = dict[str, Host]


@dataclass(frozen=True, eq=False)
class Turns:
    """Hold what sources that are deployed at the same time take turns in; `room` limits their builds.

    A source that is the only one has no `room`: its builds begin early.
    """

    room: BuildRoom | None = None
    initializing: AbstractContextManager[object] = field(default_factory=Lock)
    hook: AbstractContextManager[object] = field(default_factory=nullcontext)
    creating: AbstractContextManager[object] = field(default_factory=nullcontext)

    @classmethod
    def of(cls, sources: int) -> Turns:
        """Return the turns of this many sources."""
        return cls() if sources == 1 else cls(BuildRoom(), hook=Lock(), creating=Semaphore(CREATING))


@dataclass(frozen=True, eq=False)
class SharedReach:
    """Hold how all sources reach hosts: claims of names, images over SSH, and one tunnel for each host.

    `created` creates the hosts that stacks of several sources share, once, and returns them by their names.
    """

    claimed: Callable[[], tuple[Mapping[str, Host], Mapping[str, DevError]]]
    transfer: ImageTransfer
    tunnel: RegistryTunnel
    setups: MachineSetups
    created: Callable[[], Mapping[str, Host | DevError]]

    @classmethod
    def of(cls, scopes: list[SourceScope]) -> SharedReach:
        """Return the reach of these sources, whose hosts and registry are those of the first one."""
        run, options = scopes[0].run, scopes[0].options
        machines = tuple(dict.fromkeys(scopes[0].scope.machines.values()))
        return cls(
            once(lambda: _claimed(scopes)),
            ImageTransfer(run.tools, run.connections),
            RegistryTunnel(run.project, run.output, run.remote, is_wanted=not options.skip_push),
            MachineSetups(),
            once(lambda: run.provider.ensure(machines)),
        )


def _claimed(scopes: list[SourceScope]) -> tuple[dict[str, Host], dict[str, DevError]]:
    """Claim the names of all new stacks, and record where stacks are.

    Returns the stacks that another deploy is creating on another host, with that host, and why names could not be
    claimed.
    """
    run, options, surveyed = scopes[0].run, scopes[0].options, scopes[0].scope.surveyed
    if not surveyed.contents:
        return {}, {}
    new = {name: host for item in scopes for name, host in item.scope.placed.items()}
    moved: dict[str, Host] = {}
    errors: dict[str, DevError] = {}
    # Who chooses the host of a new stack decides that it is on no other.
    if new and not options.on:
        moved, errors = claim(run.connections, run.provider.machines(), new, run.provider.registrar())
    for name, host in moved.items():
        run.output.info(f"Another deploy is creating {name} on {host.address}, which is used here too", host)
    stacks = {**surveyed.of(run.project), **new, **moved}
    run.provider.record({name: stacks[name] for name in stacks if name not in errors}, surveyed.answering)
    return moved, errors


@dataclass(frozen=True, eq=False)
class SourceDeploy:
    """Hold the deploy of one source while it is decided and planned."""

    source: SourceScope
    hooks: Hooks
    making: ImageMaking
    turns: Turns

    @classmethod
    def of(cls, run: Run, options: DeployOptions, turns: Turns) -> SourceDeploy:
        """Run `initializeCommand`, and decide what is deployed. Raises for what is bound to fail."""
        # An unknown stack name is refused before any command of the project runs.
        chosen(run, options)
        with turns.initializing:
            run = _initialized(run, options)
        hooks = Hooks(run, "deploy", skip=options.skip_hooks, turn=turns.hook)
        scope = decide(run, options, connects=not hooks.has("pre-connect"))
        flags = {"skip_build": options.skip_build, "skip_push": options.skip_push}
        making = ImageMaking(run.project, run.tools, **flags, room=turns.room)
        return cls(SourceScope(run, options, scope), hooks, making, turns)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its stacks."""
        return self.source.scope.names

    def pre_connect(self) -> SourceDeploy:
        """Run the hook that comes before hosts are asked. Raises HookFailed."""
        self.hooks.before("pre-connect", self.source.scope.hosts, left_behind=NOTHING)
        return self

    def planned(self) -> PlannedDeploy:
        """Observe hosts and plan. A build may start meanwhile."""
        run, options, scope = self.source.run, self.source.options, self.source.scope
        # Building may start while the hosts still answer: no hook has to run first, no host has to be created, and the
        # plan is rarely confirmed. `stop` would end the builds of other sources, too.
        is_early = scope.are_all_on and not (self.hooks.has("pre-build") or self.turns.room or options.fork)
        if is_early and run.project.config.deploy.confirm != "always":
            self.making.begin(push=not self.hooks.has("post-build"))
        observations = observing(run.connections, scope, is_deep=options.is_interactive)
        planner = first_planner(run, options, scope)
        plan = planner.plan(observations.soon())
        for error in (item.error for item in plan.stacks if options.fork and isinstance(item.error, UsageError)):
            raise error
        return PlannedDeploy(self, observations, planner, plan)


def _initialized(run: Run, options: DeployOptions) -> Run:
    if not run.project.home.is_trusting:
        run.output.warn_once(untrusted.WARNING)
        return run
    return run if options.skip_initialize else initialize(run)


@dataclass(frozen=True, eq=False)
class PlannedDeploy:
    """Hold a plan that can be carried out."""

    decided: SourceDeploy
    observations: Observations
    planner: Planner
    plan: Plan

    @property
    def source(self) -> SourceScope:
        """Its run, the flags, and the scope."""
        return self.decided.source

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its stacks."""
        return self.decided.names

    @property
    def _run(self) -> Run:
        return self.source.run

    @property
    def _scope(self) -> DeployScope:
        return self.source.scope

    def record(self) -> DeployRecord:
        """Return the record of this deploy, which starts now."""
        run = self._run
        return DeployRecord(run.project, run.output, run.performer, self._scope.names, self._scope.creating)

    def carried_out(self, reach: SharedReach) -> tuple[list[StackResult], Reached]:
        """Carry out the plan; return the result of each stack and the prepared hosts."""
        scope, hooks, making = self._scope, self.decided.hooks, self.decided.making
        if all(item.error for item in self.plan.stacks) and not self.observations.silent:
            making.stop()
            self._run.output.info("Nothing was deployed: no host can take the release")
            return [
                _failed(self._run.output, item.stack, scope.hosts[item.stack], item.error)
                for item in self.plan.stacks
                if item.error
            ], {}
        if planned(self._run.project) and not self.source.options.skip_build:
            hooks.before("pre-build", scope.hosts, left_behind=NOTHING)
        preparing = self._preparing(reach)
        # A missing image is reported before hosts are created for it.
        existing = self._images() if self.source.options.skip_build and scope.creating else None
        hosts = Background(lambda: _prepare_all(self._ensured(reach), preparing, scope, self.observations))
        with reporting_hosts(scope.creating, hosts):
            images = existing or self._images()
        prepared = hosts.result()
        _before_apply(hooks, prepared)
        applying = self._applying(preparing, reach.tunnel, images, _reached(prepared))
        project, options = self._run.project, self.source.options
        limits = LifetimeLimits(options.ttl, options.idle)
        apply_some = partial(_apply_all, project, applying, hooks, limits)
        results = in_batches(project.config.deploy, self._run.output, prepared, apply_some)
        return _rolled_back(self._run.project, self._run.connections, prepared, results), _reached(prepared)

    def report(self, results: list[StackResult], seconds: float) -> Report:
        """Return the report, before the hooks that follow."""
        project = self._run.project
        is_named = bool(project.source_origin.ref)
        return Report("Deployed", str(project.version), tuple(results), seconds, plan=self.plan, is_named=is_named)

    def ended(self, report: Report) -> DevError | None:
        """Run the hooks that come after the deploy; return why one failed."""
        if report.failed:
            taken = [result for result in report.outcomes if result.before is not None]
            return self.decided.hooks.after_rollback(taken, report.seconds)
        return self.decided.hooks.after_deploy(report.outcomes, report.seconds)

    # --- what it is carried out with

    def _images(self) -> MadeImages:
        hooks, scope = self.decided.hooks, self._scope
        state = "the images are built; nothing was deployed"
        return self.decided.making.made(lambda: hooks.before("post-build", scope.hosts, left_behind=state))

    def _preparing(self, reach: SharedReach) -> PrepareContext:
        # A `pre-deploy` hook or a failed first batch can still stop the release: don't move people's source forward
        # before that.
        hooks = self.decided.hooks
        source_waits = hooks.has("pre-deploy") or bool(self._run.project.config.deploy.batch)
        planner = replace(self.planner, is_quick=False)
        return PrepareContext(
            self._run.connections,
            planner,
            reach.transfer,
            planner.workspace,
            hooks.owe_setup,
            reach.setups,
            source_waits or self.source.options.fork is not None,
            self.source.options.fork,
        )

    def _applying(
        self, preparing: PrepareContext, tunnel: RegistryTunnel, images: MadeImages, reached: Reached
    ) -> ApplyContext:
        run, options = self._run, self.source.options
        layers = Layers(run.local, images.config, is_local=run.project.config.registry.is_local)
        planner = final_planner(run.project, run.tools, self.planner, images, reached)
        fork = options.fork and replace(options.fork, is_prepared=self._prepared)
        login, keeps = self._scope.login, options.keep_failed
        return ApplyContext(run.connections, planner, preparing, tunnel, layers, login, keeps, fork)

    def _prepared(self) -> bool:
        """Run the hook `backup` for the stack whose volumes are copied, and return whether there is one."""
        hooks, fork = self.decided.hooks, self.source.options.fork
        assert fork is not None
        state = "no service was stopped"
        hooks.before(BACKUP, {fork.copied.stack: fork.source}, left_behind=state)
        return hooks.has(BACKUP)

    def _ensured(self, reach: SharedReach) -> Mapping[str, Host | DevError]:
        """Create and start hosts, and claim the names of new stacks on hosts that exist.

        Returns the stacks whose host was not observed yet, with the host or why there is none.
        """
        scope = self._scope
        made: dict[str, Host | DevError] = {}
        if own := tuple(name for name in scope.not_on if name not in scope.machines):
            with self.decided.turns.creating:
                made |= self._run.provider.ensure(own)
        if shared := {name: scope.machines[name] for name in scope.not_on if name not in own}:
            created = reach.created()
            made |= {name: _of_stack(created[machine], name) for name, machine in shared.items()}
        moved, errors = reach.claimed()
        made |= {name: host for name, host in moved.items() if name in scope.names}
        return made | {name: error for name, error in errors.items() if name in scope.names}


def _of_stack(created: Host | DevError, stack: str) -> Host | DevError:
    """Return a host that stacks share under the name of one of them."""
    return at(created, stack) if isinstance(created, Host) else created


def _prepare_all(
    made: Mapping[str, Host | DevError], context: PrepareContext, scope: DeployScope, observations: Observations
) -> Hosts:
    """Prepare each host; a failure becomes the result of its stack."""
    connections = context.connections
    created = {stack: host for stack, host in made.items() if isinstance(host, Host)}
    context = replace(context, planner=replace(context.planner, stacks={**context.planner.stacks, **created}))

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


def _reached(hosts: Hosts) -> Reached:
    """Return the prepared hosts, by stack."""
    return {item.stack: item.host for item in hosts if isinstance(item, PreparedHost)}


def _before_apply(hooks: Hooks, hosts: Hosts) -> None:
    """Run the hooks that come between preparing the hosts and applying the release."""
    stacks = _reached(hosts)
    hooks.docker_setup(stacks)
    if stacks:
        hooks.before("pre-deploy", stacks, left_behind=f"images are built and hosts are prepared; {UNTOUCHED}")


def _apply_all(
    project: Project, context: ApplyContext, hooks: Hooks, limits: LifetimeLimits, hosts: Hosts
) -> list[StackResult]:
    def bring_up(prepared: PreparedHost | StackResult) -> StackResult:
        if isinstance(prepared, StackResult):
            return prepared
        result = hooks.checked(apply(context, prepared), prepared.host, left_behind=RUNNING)
        result = with_lifetime(context.connections, project.config, prepared, limits, result)
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
