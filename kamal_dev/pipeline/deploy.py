"""The story of `dev deploy`: read it from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from kamal_dev.commands.host import Login
from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Host, Image, Release
from kamal_dev.pipeline.hosts.admission import Gate, require_capacity
from kamal_dev.pipeline.hosts.apply import ApplyContext, apply, failure, tell
from kamal_dev.pipeline.hosts.batches import in_batches, reporting_hosts
from kamal_dev.pipeline.hosts.prepare import PrepareContext, PreparedHost, prepare
from kamal_dev.pipeline.hosts.release import render_release
from kamal_dev.pipeline.hosts.transfer import ImageTransfer
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.images import features, local_registry, registry
from kamal_dev.pipeline.images.building import Built, build_all, planned, require_buildable
from kamal_dev.pipeline.images.engine import require_engine
from kamal_dev.pipeline.images.layers import Layers
from kamal_dev.pipeline.images.metadata import Metadata
from kamal_dev.pipeline.images.platforms import expected
from kamal_dev.pipeline.images.pushing import found, push_all
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run.budget import HostBudget
from kamal_dev.pipeline.run.elsewhere import left_behind
from kamal_dev.pipeline.run.hooks import UNTOUCHED, Hooks
from kamal_dev.pipeline.run.initialize import initialize
from kamal_dev.pipeline.run.names import choose
from kamal_dev.pipeline.run.record import DeployRecord, failed, still_known
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.shell.fanout import Background, each


@dataclass(frozen=True)
class DeployOptions:
    """Say what to deploy: the flags of `dev deploy`.

    `names` are the stacks to restrict it to, `retry_failed` to those whose last deploy was not
    fine; `timeout` is how many seconds a host may be at work. `recreate` makes every container
    anew. `agree` asks before hosts are made, `consent` before a limit of this machine is raised for them.
    """

    count: int | None = None
    names: tuple[str, ...] = ()
    skip_build: bool = False
    skip_push: bool = False
    skip_initialize: bool = False
    retry_failed: bool = False
    timeout: float | None = None
    keep_failed: bool = False
    recreate: bool = False
    skip_hooks: bool = False
    agree: Callable[[str], bool] = lambda question: True
    consent: Callable[[str], bool] = lambda question: False


@dataclass(frozen=True)
class DeployScope:
    """Hold what one deploy is about: the release of each stack, the stacks that have no host yet, and the login.

    `engine` is the platform of the engine here, empty where none is needed.
    """

    releases: dict[str, Release]
    making: tuple[str, ...]
    login: Login | None
    engine: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The stacks, in order."""
        return tuple(self.releases)


def deploy(run: Run, order: DeployOptions) -> Report:
    """Bring this version up on every chosen stack, side by side.

    Raises what goes wrong before a host is changed; what goes wrong on a host is
    in the report, and stops no other host.
    """
    started = time.monotonic()
    if order.retry_failed and not (order := _again(run, order)).names:
        return Report("Deployed", str(run.project.version), (), 0.0)
    run.budget = HostBudget(order.timeout)
    hooks = Hooks(run, "deploy", skip=order.skip_hooks)
    scope = _agreed(run, order)
    _begin(run, order, hooks, scope.names)
    with DeployRecord(run, scope.names, scope.making) as memory:
        means = _means(run, order, hooks, scope)
        if scope.making:
            means.gate.open()
        hosts = Background(lambda: _hosts(run, scope.releases, means))
        if means.gate.passes():
            with reporting_hosts(run, scope.making, hosts):
                images, metadata = _images(run, order, hooks, scope)
            ready = hosts.result()
            _before_apply(hooks, ready)
            work = _work(run, order, means, images, metadata, scope.login)
            outcomes = in_batches(run, ready, lambda some: _apply_all(work, some, scope.releases))
            outcomes = _rolled_back(run, ready, outcomes)
        else:
            ready = hosts.result()
            outcomes = [item for item in ready if isinstance(item, StackResult)]
            run.output.info("Nothing was built: no host can take the release")
        memory.ended(outcomes, reached(ready), time.monotonic() - started)
    return _report(run, hooks, outcomes, time.monotonic() - started)


def _again(run: Run, order: DeployOptions) -> DeployOptions:
    """Return the order for the stacks whose last deploy was not fine, and that still can be deployed."""
    if order.names:
        raise UsageError("`--retry-failed` chooses the stacks itself", hint="leave out NAME and `--host`")
    names = still_known(run, failed(run), order.count)
    if not names:
        run.output.info("Nothing is left to be tried again: the last deploy of every stack went well")
    return replace(order, names=names)


def _agreed(run: Run, order: DeployOptions) -> DeployScope:
    """Decide what is deployed, and refuse, before anything is made, what could not end well."""
    # A name that is none is refused before a command of the project is run.
    _chosen(run, order)
    if not order.skip_initialize:
        initialize(run)
    run.project.require_deployable()
    engine = Background(lambda: require_engine(run.local) if planned(run) else "")
    if not order.skip_build:
        require_buildable(run, run.project.config.secrets)
    names = _chosen(run, order)
    releases = {name: render_release(run.project, name) for name in names}
    making = new_hosts(run, names)
    require_capacity(run)
    login = check(run, order, names, making)
    return DeployScope(releases, making, login, engine.result())


def _chosen(run: Run, order: DeployOptions) -> tuple[str, ...]:
    """Return the stacks to deploy: of the first `count`, and what is named and has a host. Raises UsageError."""
    counted = choose(run.project, order.count, ())
    is_beyond = not {*counted, run.project.config.service}.issuperset(order.names)
    return choose(run.project, order.count, order.names, known=dict(run.provider.stacks()) if is_beyond else ())


def new_hosts(run: Run, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names that no host has yet. Raises ProviderError where there cannot be enough."""
    run.provider.check(names)
    there = dict(run.provider.stacks())
    return tuple(name for name in names if name not in there)


def check(run: Run, order: DeployOptions, names: tuple[str, ...], missing: tuple[str, ...]) -> Login | None:
    """Refuse, before anything is made, what could not end well; returns what hosts log in with."""
    if missing and not order.agree(f"Make {', '.join(missing)} ({run.project.config.provider.type})?"):
        raise KeyboardInterrupt
    run.provider.make_room(len(missing), order.consent)
    for notice in run.project.notices:
        run.output.warn(str(notice))
    for text in left_behind(run, names, is_all=not order.names):
        run.output.warn(text)
    return None if order.skip_push or not planned(run) else registry.credentials(run)


def _begin(run: Run, order: DeployOptions, hooks: Hooks, names: tuple[str, ...]) -> None:
    """Run the hooks that come before any host is reached: hosts are made ready while images are built."""
    hooks.before("pre-connect", names, left_behind="nothing was built or deployed")
    if planned(run) and not order.skip_build:
        hooks.before("pre-build", names, left_behind="nothing was built or deployed")


def _means(run: Run, order: DeployOptions, hooks: Hooks, scope: DeployScope) -> PrepareContext:
    # What people work in is not moved forward for a release that may not come.
    source_waits = hooks.has("pre-deploy") or bool(run.project.config.deploy.batch)
    lending = RegistryTunnel(run, is_wanted=not order.skip_push)
    images = () if order.skip_build else expected(run, scope.engine)
    return PrepareContext(ImageTransfer(run), Workspace(run), lending, hooks, Gate(), source_waits, images)


def _work(
    run: Run,
    order: DeployOptions,
    means: PrepareContext,
    images: dict[str, Image],
    metadata: Metadata,
    login: Login | None,
) -> ApplyContext:
    return ApplyContext(
        run,
        images,
        metadata,
        means.parcels,
        means.lending,
        means.workspace,
        login,
        over_ssh=order.skip_push,
        keep_failed=order.keep_failed,
        layers=Layers(run, metadata.config),
        workspace=means.late_workspace,
        recreate=order.recreate,
    )


def _images(run: Run, order: DeployOptions, hooks: Hooks, scope: DeployScope) -> tuple[dict[str, Image], Metadata]:
    """Build → push → digest; returns the image of each built service, and how the main one wants to be run."""
    config = _logged_in(run, order)
    built = [] if order.skip_build else build_all(run, BuildOptions(may_push=not order.skip_push, config=config))
    if built:
        hooks.before("post-build", scope.names, left_behind="the images are built; nothing was deployed")
    made = found(run, built) if order.skip_push else _pushed(run, config, built)
    services = {service: made[image.reference] for service, image in run.project.images().items()}
    images = {service: item.image for service, item in services.items()}
    return images, Metadata(run, config, services.get(run.project.main))


def _pushed(run: Run, config: str, built: list[Built]) -> dict[str, Built]:
    return {item.image.reference: item for item in push_all(run, config=config, built=built)}


def _logged_in(run: Run, order: DeployOptions) -> str:
    """Return the docker config folder to build and push with; the local registry is started where it has to be."""
    if order.skip_push or not planned(run):
        return "" if order.skip_build else features.log_in(run)
    if run.project.config.registry.is_local:
        local_registry.ensure(run)
    return registry.log_in(run)


def _hosts(run: Run, releases: dict[str, Release], means: PrepareContext) -> list[PreparedHost | StackResult]:
    """Provision → bootstrap → pre-pull → source; a host that fails becomes an outcome."""

    def ready(target: tuple[str, Host]) -> PreparedHost | StackResult:
        name, host = target
        try:
            with run.budget.counting(host.name):
                return prepare(run, host, releases[name], means)
        except DevError as error:
            outcome = failure(host, name, error)
            tell(run, outcome)
            return outcome

    try:
        targets = list(zip(releases, run.provider.ensure(tuple(releases)), strict=True))
        return [result for result in each(targets, ready, limit=run.limit) if not isinstance(result, DevError)]
    finally:
        means.gate.close()


def reached(hosts: Iterable[PreparedHost | StackResult]) -> dict[str, Host]:
    """Return the hosts that could be made ready, by stack."""
    return {item.stack: item.host for item in hosts if isinstance(item, PreparedHost)}


def _before_apply(hooks: Hooks, hosts: list[PreparedHost | StackResult]) -> None:
    """Run the hooks that come between making hosts ready and applying the release there."""
    stacks = [host.stack for host in hosts if isinstance(host, PreparedHost)]
    hooks.docker_setup(stacks)
    if stacks:
        hooks.before("pre-deploy", stacks, left_behind=f"images are built and hosts are ready; {UNTOUCHED}")


def _apply_all(
    work: ApplyContext, hosts: list[PreparedHost | StackResult], releases: dict[str, Release]
) -> list[StackResult]:
    def bring_up(ready: PreparedHost | StackResult) -> StackResult:
        if isinstance(ready, StackResult):
            return ready
        outcome = apply(work, ready, releases[ready.stack])
        tell(work.run, outcome)
        return outcome

    return [result for result in each(hosts, bring_up, limit=work.run.limit) if isinstance(result, StackResult)]


def _rolled_back(run: Run, hosts: list[PreparedHost | StackResult], outcomes: list[StackResult]) -> list[StackResult]:
    """Bring every stack back where one failed and `deploy.rollback` is `all`."""
    if run.project.config.deploy.rollback != "all" or all(outcome.is_fine for outcome in outcomes):
        return outcomes
    from kamal_dev.pipeline.hosts.restore import rollback_all

    return rollback_all(run, reached(hosts), outcomes)


def _report(run: Run, hooks: Hooks, outcomes: list[StackResult], seconds: float) -> Report:
    report = Report("Deployed", str(run.project.version), tuple(outcomes), seconds)
    if report.failed:
        taken = [outcome for outcome in outcomes if outcome.before is not None]
        return replace(report, hook=hooks.after_rollback(taken, seconds))
    report.tell(run.output)
    return replace(report, hook=hooks.after_deploy(outcomes, seconds))
