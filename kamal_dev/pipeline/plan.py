"""The story of `dev plan` and the first half of `dev deploy`: choose stacks, observe hosts, plan. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from kamal_dev.commands.host import Login
from kamal_dev.commands.payload import watcher_version
from kamal_dev.compose import layout
from kamal_dev.errors import DevcontainerError, Problem, UsageError
from kamal_dev.model import Host, Release
from kamal_dev.pipeline.hosts.checks import lacking_capacity
from kamal_dev.pipeline.hosts.forking import Fork
from kamal_dev.pipeline.hosts.observe import Observations, observe
from kamal_dev.pipeline.hosts.placing import PlacedStacks, placed
from kamal_dev.pipeline.hosts.planning import Planner, requirements
from kamal_dev.pipeline.hosts.rendering import RenderedReleases, render_release
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.images import registry
from kamal_dev.pipeline.images.building import planned, require_buildable
from kamal_dev.pipeline.images.engine import require_engine
from kamal_dev.pipeline.images.making import MadeImages, known_images, to_be_made
from kamal_dev.pipeline.images.metadata import Metadata
from kamal_dev.pipeline.images.platforms import expected
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.run.asking import confirm_plan
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.elsewhere import left_behind
from kamal_dev.pipeline.run.names import choose
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.run.shared_hosts import SurveyedHosts
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.plan.admission import OVERRIDE
from kamal_dev.plan.diff import unified
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import ApplyRelease
from kamal_dev.plan.plan import Plan, joined
from kamal_dev.plan.request import DeployRequest, PlannedImage
from kamal_dev.project import Project
from kamal_dev.shell.fanout import Background
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class DeployOptions:
    """Hold the flags of `dev deploy`.

    `names` limits the deploy to these stacks, of which `new` need not exist, `retry_failed` to those whose last deploy
    failed. `on` is the host for new stacks, if hosts share them. `timeout` is the number of seconds spent on each
    host. `recreate` recreates every container. `ttl` and `idle` limit the lifetime of the stacks. `agree` asks before
    hosts are created or removed, if the terminal is interactive; `consent` asks before a limit of this machine is
    raised. New stacks start with the volumes of `fork`, if there is one.
    """

    count: int | None = None
    names: tuple[str, ...] = ()
    on: str = ""
    new: tuple[str, ...] = ()
    skip_build: bool = False
    skip_push: bool = False
    skip_initialize: bool = False
    retry_failed: bool = False
    timeout: float | None = None
    keep_failed: bool = False
    recreate: bool = False
    ttl: str = ""
    idle: str = ""
    skip_hooks: bool = False
    fork: Fork | None = None
    is_interactive: bool = False
    agree: Callable[[str], bool] = lambda question: True
    consent: Callable[[str], bool] = lambda question: False


@dataclass(frozen=True)
class DeployScope:
    """Hold what one deploy covers: the first draft of each stack's release, the stack's host, and the registry login.

    `engine` waits for the platform of the local engine; it returns an empty string if nothing is built. Raises
    EngineError. `observed` are the stacks about which their hosts have answered already, or that have no host for a
    reason; `new` are those that were placed on a host that they are not on yet. `surveyed` is what is on hosts that
    share stacks. `stacks` are all stacks of the project, as far as they are known. `machines` are the shared hosts that
    have to be created, by the stacks of all sources that get them.
    """

    releases: dict[str, Release]
    hosts: dict[str, Host | None]
    login: Login | None
    engine: Callable[[], str] = str
    observed: Mapping[str, Observation] = field(default_factory=dict)
    new: tuple[str, ...] = ()
    surveyed: SurveyedHosts = field(default_factory=SurveyedHosts)
    stacks: Mapping[str, Host] = field(default_factory=dict)
    machines: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stacks, in order."""
        return tuple(self.releases)

    @property
    def creating(self) -> tuple[str, ...]:
        """The stacks that have no host yet."""
        return tuple(name for name, host in self.hosts.items() if host is None)

    @property
    def new_hosts(self) -> tuple[str, ...]:
        """The hosts that have to be created, by their stacks, or by their names if stacks share them."""
        return tuple(dict.fromkeys(self.machines.get(name, name) for name in self.creating))

    @property
    def placed(self) -> dict[str, Host]:
        """The hosts of the stacks that were placed and that are not on them yet."""
        return {name: host for name in self.new if (host := self.hosts[name])}

    @property
    def not_on(self) -> tuple[str, ...]:
        """The stacks whose host does not exist or is switched off."""
        off = (name for name, host in self.hosts.items() if not (host and host.address))
        return tuple(name for name in off if name not in self.observed)

    @property
    def are_all_on(self) -> bool:
        """Whether the host of every stack is switched on."""
        return not self.not_on


@dataclass(frozen=True, eq=False)
class SourceScope:
    """Hold what is deployed from one source: its run, the flags, and the scope."""

    run: Run
    options: DeployOptions
    scope: DeployScope

    @classmethod
    def of(cls, run: Run, options: DeployOptions) -> SourceScope:
        """Decide what is deployed; see `decide`."""
        return cls(run, options, decide(run, options))

    def on(self, stacks: PlacedStacks, deployed: tuple[str, ...]) -> SourceScope:
        """Return the scope with hosts that stacks share; `deployed` are the stacks of all sources."""
        existing = stacks.surveyed.of(self.run.project)
        _warn_of_others(self.run, self.options, deployed, existing)
        behind = self.run.remembered_on(item.host for item in stacks.surveyed.silent if item.is_unknown)
        known = {**behind, **existing, **stacks.placement.hosts}
        machines = stacks.placement.created
        hosts = {
            name: None if name in machines else stacks.placement.hosts.get(name, Host(name, ""))
            for name in self.scope.hosts
        }
        observed = {name: item for name, item in stacks.observed.items() if name in hosts}
        new = tuple(name for name in stacks.placement.new if name in hosts)
        scope = replace(self.scope, hosts=hosts, observed=observed, new=new, surveyed=stacks.surveyed, stacks=known)
        return replace(self, scope=replace(scope, machines=machines))


@dataclass(frozen=True)
class ReleasePlan:
    """Hold the plan of a deploy, and how each stack's compose files differ from those on its host."""

    plan: Plan
    version: str
    diffs: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the output of `--json`."""
        return {"version": self.version, **self.plan.as_json(), "diffs": self.diffs}


def plan(every: Iterable[tuple[Run, DeployOptions]]) -> ReleasePlan:
    """Return what `dev deploy` would do now with each source.

    Runs no hook and no command of the project (such as `initializeCommand`), logs in to no registry, and takes no
    lock.
    """
    sources = find_hosts([SourceScope.of(*item) for item in every], is_deep=True)
    require_room(sources)
    plans = [_planned(item) for item in sources]
    versions = ", ".join(dict.fromkeys(item.version for item in plans))
    diffs = {stack: text for item in plans for stack, text in item.diffs.items()}
    return ReleasePlan(joined(item.plan for item in plans), versions, diffs)


def _planned(source: SourceScope) -> ReleasePlan:
    run, options, scope = source.run, source.options, source.scope
    planner = planner_of(run, options, scope, seen_images(run.project, run.tools, options))
    observations = observing(run.connections, scope, is_deep=True)
    in_scope = [observations.of(name) for name in scope.names]
    deploy_plan = planner.plan(in_scope)
    changing = {item.stack for item in deploy_plan.stacks if item.first(ApplyRelease)}
    diffs = {item.stack: _diff(planner, item) for item in in_scope if item.stack in changing and item.facts}
    return ReleasePlan(deploy_plan, str(run.project.version), {stack: text for stack, text in diffs.items() if text})


def seen_images(project: Project, tools: LocalTools, options: DeployOptions) -> tuple[PlannedImage, ...]:
    """Return the images of this version, with what is known about them before a build."""
    return known_images(project, tools, skip_build=options.skip_build, skip_push=options.skip_push)


def _diff(planner: Planner, observation: Observation) -> str:
    release = planner.release(observation).release
    manifest = next(file.content for file in release.files if file.path == layout.MANIFEST)
    named = {*observation.files, *json.loads(manifest)["files"]}
    after = {file.path: file.content.decode(errors="replace") for file in release.files if file.path in named}
    return unified(observation.files, after)


# --- what is deployed


def decide(run: Run, options: DeployOptions, *, connects: bool = False) -> DeployScope:
    """Decide which stacks are deployed, and refuse a deploy that is bound to fail.

    With `connects`, logins to the hosts start as soon as the project's files are known to be valid.
    """
    run.project.require_deployable()
    is_building = not options.skip_build and bool(planned(run.project))
    engine = Background(lambda: require_engine(run.local) if is_building else "")
    if not options.skip_build:
        builds = BuildOptions(may_push=not options.skip_push)
        require_buildable(run.project, run.tools, builds, run.project.config.secrets)
    names = chosen(run, options)
    if connects:
        run.connect(names)
    releases = {name: render_release(run.project, name) for name in names}
    run.provider.check(names)
    require_capacity(run)
    for notice in run.project.notices:
        run.output.warn_once(str(notice), category="config")
    login = None if options.skip_push or not planned(run.project) else registry.credentials(run.project)
    if options.on and not run.provider.machines():
        raise UsageError("`--on` needs hosts that share stacks", hint="set `placement.per_host` to more than 1")
    if run.provider.machines():
        # Only the hosts know where the stacks are, and may not be asked yet.
        return DeployScope(releases, {name: Host(name, "") for name in names}, login, engine.result)
    _warn_of_others(run, options, names, run.stacks)
    hosts = {name: run.stacks.get(name) for name in names}
    # A listed host may never get its stack; one that was created has it.
    wanted = {*names, *choose(run.project, options.count, ())}
    is_created = run.project.config.provider.creates_hosts
    stacks = {name: host for name, host in run.stacks.items() if is_created or name in wanted}
    return DeployScope(releases, hosts, login, engine.result, stacks=stacks)


def find_hosts(sources: Sequence[SourceScope], *, is_deep: bool) -> list[SourceScope]:
    """Return the scopes with the host of each stack, if hosts share stacks: asks each of them once."""
    first, config = sources[0].run, sources[0].run.project.config
    machines = first.provider.machines()
    may_create = config.provider.creates_hosts and config.placement.per_host > 1
    if not machines and not may_create:
        return list(sources)
    releases = {name: release for item in sources for name, release in item.scope.releases.items()}
    stacks = placed(
        first.connections,
        machines,
        config.placement,
        releases,
        on=sources[0].options.on,
        is_deep=is_deep,
        inventory=first.provider.inventory(),
        creatable=first.provider.creatable() if may_create else (),
    )
    return [item.on(stacks, tuple(releases)) for item in sources]


def require_room(sources: Sequence[SourceScope]) -> None:
    """Refuse hosts that this machine could not boot; a deploy may ask to raise its limits. Raises ProviderError."""
    creating = {name for item in sources for name in item.scope.new_hosts}
    sources[0].run.provider.make_room(len(creating), lambda question: False)


def _warn_of_others(run: Run, options: DeployOptions, names: tuple[str, ...], stacks: Mapping[str, Host]) -> None:
    machines = run.provider.machines()
    for text in left_behind(run.project, stacks, names, is_all=not options.names, machines=machines):
        run.output.warn_once(text)


def chosen(run: Run, options: DeployOptions) -> tuple[str, ...]:
    """Return the stacks to deploy: the named ones that exist or are among the first `count`. Raises UsageError."""
    counted = choose(run.project, options.count, ())
    is_beyond = not {*counted, *options.new, run.project.config.service}.issuperset(options.names)
    known = (*run.stacks, *options.new) if is_beyond else options.new
    return choose(run.project, options.count, options.names, known=known)


def require_capacity(run: Run) -> None:
    """Compare `hostRequirements` with what the provider offers. Raises DevcontainerError, or warns."""
    missing = lacking_capacity(run.project, run.provider)
    if not missing:
        return
    where = run.project.devcontainer.where("hostRequirements")
    message = f"hosts of the provider `{run.project.config.provider.type}` have at most {', '.join(missing)}"
    if run.warns_of_requirements:
        run.output.warn_once(f"{where}: hostRequirements: {message}")
        return
    problem = Problem(where.path, where.line, message, "hostRequirements", where.column)
    raise DevcontainerError(problem, hint=OVERRIDE, left_behind="nothing was built or deployed")


# --- observe and plan


def observing(connections: HostConnections, scope: DeployScope, *, is_deep: bool) -> Observations:
    """Start observing the hosts of all stacks; `is_deep` also asks who works in their containers."""

    def one(stack: str) -> Observation:
        if stack in scope.observed:
            return scope.observed[stack]
        return observe(connections, stack, scope.hosts[stack], scope.releases[stack], is_deep=is_deep)

    return Observations(scope.hosts, one, limit=connections.limit)


def planner_of(run: Run, options: DeployOptions, scope: DeployScope, images: Iterable[PlannedImage]) -> Planner:
    """Return the planner for a deploy before its build, with what is known about the images so far."""
    images, project = tuple(images), run.project
    of_services = {service: item.image for item in images for service in item.services}
    main = next((item for item in images if project.main in item.services), None)
    metadata = Metadata(project, run.tools, expected=main.image if main else None)
    platforms = () if options.skip_build else expected(project, scope.engine())
    needs = requirements(project, platforms, warns=run.warns_of_requirements, lock_wait=run.lock_wait)
    fork = options.fork
    workspace = Workspace(project, run.tools, run.connections, fork.token if fork else "")
    request = DeployRequest(
        images,
        project.config.provider.type,
        project.workspace_source,
        workspace.folder,
        over_ssh=options.skip_push,
        recreate=options.recreate,
        watcher=watcher_version(run.connections.scripts),
        is_shared=project.config.placement.per_host > 1,
        machines=scope.machines,
        copied=fork.copied if fork else None,
    )
    rendered = RenderedReleases(project)
    return Planner(project, rendered, of_services, metadata, workspace, needs, request, stacks=scope.stacks)


def first_planner(run: Run, options: DeployOptions, scope: DeployScope) -> Planner:
    """Return the planner for the start of a deploy: it looks up no images and does not read the repository."""
    images = to_be_made(run.project, skip_build=options.skip_build)
    return replace(planner_of(run, options, scope, images), is_quick=True)


def final_planner(
    project: Project, tools: LocalTools, draft: Planner, made: MadeImages, reached: Mapping[str, Host]
) -> Planner:
    """Return the planner that knows all images, and the hosts of the stacks that are deployed."""
    images = made.images
    request = replace(draft.request, images=tuple(PlannedImage(images[name], (name,)) for name in images))
    return replace(
        draft,
        images=images,
        metadata=Metadata(project, tools, made.config, made.of_services.get(project.main)),
        requirements=replace(draft.requirements, images=tuple(images.values())),
        request=request,
        is_quick=False,
        stacks={**draft.stacks, **reached},
    )


# --- ask


def require_terminal(sources: Iterable[SourceScope]) -> None:
    """Refuse to create hosts if nobody can be asked, before anything runs. Raises UsageError."""
    asking = [
        item
        for item in sources
        if item.scope.creating and not item.options.is_interactive and item.run.project.config.deploy.confirm != "never"
    ]
    if asking:
        creating = dict.fromkeys(name for item in asking for name in item.scope.new_hosts)
        asking[0].options.agree(_creating(asking[0].run.project, tuple(creating)))


def confirm(sources: Sequence[tuple[SourceScope, Plan]], before_asking: Callable[[], None] = lambda: None) -> None:
    """Show what the plans do, and ask once if `deploy.confirm` of a source requires it. Raises Declined."""
    first, _ = sources[0]
    careful = [(item.run.project, plan) for item, plan in sources if _asks(item)]
    is_always = any(project.config.deploy.confirm == "always" for project, _ in careful)
    asked = joined(plan for _, plan in careful)
    questions = tuple(_questions(first.run.project, asked, is_always=is_always))
    if questions:
        before_asking()
    whole = joined(plan for _, plan in sources)
    confirm_plan(first.run.output, whole, " ".join(questions), first.options.agree)


def _asks(source: SourceScope) -> bool:
    policy = source.run.project.config.deploy.confirm
    return policy == "always" or (policy == "careful" and source.options.is_interactive)


def _questions(project: Project, plan: Plan, *, is_always: bool) -> Iterable[str]:
    if plan.new_hosts:
        yield _creating(project, plan.new_hosts)
    for stack, operation in plan.disturbs:
        services = ", ".join(dict.fromkeys(f"`{service}`" for service, _ in operation.inside))
        yield f"Recreate {services} of {stack}, which ends what people run inside?"
    for _, copy in plan.copies:
        if copy.inside:
            services = ", ".join(dict.fromkeys(f"`{service}`" for service, _ in copy.inside))
            yield f"Stop {services} of {copy.source} for the copy, which ends what people run inside?"
    if is_always and not (plan.is_empty or plan.new_hosts or plan.disturbs):
        yield "Deploy this?"


def _creating(project: Project, hosts: tuple[str, ...]) -> str:
    return f"Create {', '.join(hosts)} with {project.config.provider.type}?"
