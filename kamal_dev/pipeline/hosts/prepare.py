"""Prepare one host for a release, as planned: bootstrap it, pull third-party images, send the source."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import field, replace
from threading import Lock

from kamal_dev.commands import host
from kamal_dev.commands.facts import Facts
from kamal_dev.commands.payload import Scripts
from kamal_dev.commands.survey import allot, allotted
from kamal_dev.errors import BootstrapFailed
from kamal_dev.model import Host, Release, Step
from kamal_dev.pipeline.hosts.forking import Fork
from kamal_dev.pipeline.hosts.lock_wait import await_turn
from kamal_dev.pipeline.hosts.observe import look, question
from kamal_dev.pipeline.hosts.planning import Planner
from kamal_dev.pipeline.hosts.scripts import ServiceNames, follow, output_of
from kamal_dev.pipeline.hosts.transfer import ImageTransfer
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import index
from kamal_dev.plan import admission
from kamal_dev.plan.observation import Observation
from kamal_dev.plan.operation import POOLS, Bootstrap, PullImages, SendSource
from kamal_dev.plan.plan import StackPlan
from kamal_dev.plan.volume_copy import COPY
from kamal_dev.shell import Connecting
from kamal_dev.shell.fanout import Background, once
from kamal_dev.values import dataclass

BOOTSTRAPPING = 1800.0
PULLING = 3600.0
ALLOTTING = 60.0
OLD = 30.0  # seconds


@dataclass(frozen=True)
class PreparedHost:
    """Hold a host that is ready for a release, and the third-party images it could not get.

    `source` is what became of the workspace (see `Workspace.send`); empty if nothing was sent yet. `at` is the time
    of the observation, on the monotonic clock.
    """

    observation: Observation
    missing: tuple[str, ...] = ()
    source: str = ""
    at: float = field(default_factory=time.monotonic)

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self.observation.stack

    @property
    def host(self) -> Host:
        """The host itself."""
        assert self.observation.host is not None
        return self.observation.host

    @property
    def facts(self) -> Facts:
        """The facts of the host."""
        assert self.observation.facts is not None
        return self.observation.facts

    @property
    def is_old(self) -> bool:
        """Whether the observation is so old that another run may have changed the stack since."""
        return time.monotonic() - self.at > OLD

    def sent(self, folder: str, outcome: str) -> PreparedHost:
        """Return the prepared host after the source was sent to a folder of its workspace."""
        facts = replace(self.facts, workspace=tuple(dict.fromkeys((*self.facts.workspace, folder))))
        return replace(self, observation=replace(self.observation, facts=facts), source=outcome)


class MachineSetups:
    """Remember on which machines this run has set up Docker, so that stacks that share one wait for it."""

    def __init__(self) -> None:
        self._turn_of = once(lambda machine: Lock())
        self._done: set[Host] = set()

    def turn_on(self, target: Host) -> AbstractContextManager[object]:
        """Return the lock of the machine of a stack."""
        return self._turn_of(replace(target, name=""))

    def has(self, target: Host) -> bool:
        """Return whether Docker was set up on the machine of a stack."""
        return replace(target, name="") in self._done

    def add(self, target: Host) -> None:
        """Record that Docker was set up on the machine of a stack."""
        self._done.add(replace(target, name=""))


@dataclass(frozen=True)
class PrepareContext:
    """Hold what all hosts of one deploy are prepared with.

    With `source_waits`, the source is sent together with the release. `on_bootstrap` is called with each stack whose
    host gets Docker; `setups` are shared by all stacks, of which several may be on one machine. New stacks start with
    the volumes of `fork`, if there is one.
    """

    connections: HostConnections
    planner: Planner
    transfer: ImageTransfer
    workspace: Workspace
    on_bootstrap: Callable[[str], None]
    setups: MachineSetups
    source_waits: bool = False
    fork: Fork | None = None


def prepare(context: PrepareContext, observation: Observation) -> PreparedHost:
    """Do everything that comes before the release. Raises a HostError."""
    plan, observation = _current(context, observation)
    connections, target = context.connections, _host(observation)
    for warning in plan.warnings:
        connections.output.warn_once(f"{target.name}: {warning}")
    for note in plan.notes:
        connections.output.info(note, target)
    if (operation := plan.first(Bootstrap)) and not operation.is_for_watcher:
        if operation.installs_engine:
            context.on_bootstrap(observation.stack)
        plan, observation = _with_docker(context, observation, operation)
    if context.fork and observation.facts and observation.facts.underway == COPY:
        context.fork.start_over(connections, target, observation.stack)
        plan, observation = _current(context, _again(context, observation))
    plan, observation = _with_ports(context, plan, observation)
    wanted = plan.first(PullImages)
    # Sending the source and pulling images take long and do not depend on each other.
    source = Background(lambda: _send(context, observation, plan))
    missing: tuple[str, ...] = ()
    pulled = observation
    try:
        if wanted:
            missing, pulled = _pull(context, observation, wanted)
    finally:
        outcome = source.result()
    if pulled is not observation:
        _, observation = _current(context, pulled)
    prepared = PreparedHost(observation, missing)
    return prepared.sent(context.workspace.folder, outcome) if outcome else prepared


def _with_docker(
    context: PrepareContext, observation: Observation, operation: Bootstrap
) -> tuple[StackPlan, Observation]:
    """Set up Docker on a host, unless this was done for another stack meanwhile. Raises BootstrapFailed."""
    target, setups = _host(observation), context.setups
    with setups.turn_on(target):
        if setups.has(target):
            _log_in_again(context, target)
            plan, observation = _current(context, _again(context, observation))
            if not (lacking := plan.first(Bootstrap)) or lacking.is_for_watcher:
                return plan, observation
            operation = lacking
        observation = bootstrap(context, observation, operation)
        setups.add(target)
    return _current(context, observation)


def _log_in_again(context: PrepareContext, target: Host) -> None:
    """Log in again in the next run: the user's groups, which may have changed, are those of the login."""
    if isinstance(shell := context.connections.remote(target), Connecting):
        shell.end_with_run()


def _with_ports(context: PrepareContext, plan: StackPlan, observation: Observation) -> tuple[StackPlan, Observation]:
    """Let a shared host allot the ports that the release publishes and the stack does not have yet. Raises NoAnswer."""
    facts, step = observation.facts, allot_step(context.connections.scripts, context.planner, observation)
    assert facts is not None
    if step is None:
        return plan, observation
    output = output_of(context.connections, _host(observation), step, timeout=ALLOTTING)
    return _current(context, replace(observation, facts=replace(facts, allotted=allotted(output))))


def allot_step(scripts: Scripts, planner: Planner, observation: Observation) -> Step | None:
    """Return the step that allots ports to a stack on a shared host; None if it has all that its release publishes."""
    release, facts = planner.release(observation).release, observation.facts
    if {*release.published} <= (facts.host_ports.keys() if facts else set()):
        return None
    between = planner.project.config.ports.of(index(planner.project, observation.stack))
    return allot(scripts, observation.stack, between, release.published)


def _host(observation: Observation) -> Host:
    assert observation.host is not None
    return observation.host


def _current(context: PrepareContext, observation: Observation) -> tuple[StackPlan, Observation]:
    """Return the plan of a host that answers and that no other run is changing. Raises the plan's error."""
    while True:
        plan, _ = context.planner.stack(observation)
        if plan.error:
            raise plan.error
        assert observation.facts is not None
        if not (observation.facts.lock and observation.facts.lock.is_alive):
            return plan, observation
        await_turn(context.connections, _host(observation), observation.stack, observation.facts.lock)
        observation = _again(context, observation)


def _again(context: PrepareContext, observation: Observation) -> Observation:
    """Observe a host again after a change."""
    release = context.planner.release(observation).release
    return replace(observation, facts=look(context.connections, _host(observation), release))


def _unlocked(observation: Observation) -> Observation:
    """Return the observation without its lock: the change itself waits for the lock."""
    return replace(observation, facts=replace(observation.facts, lock=None)) if observation.facts else observation


def bootstrap_step(scripts: Scripts, release: Release, operation: Bootstrap) -> Callable[[str], Step]:
    """Return the step that sets up Docker, and then reports what a release needs to know."""
    adds_pools = operation.lacks == POOLS
    return lambda token: host.bootstrap(scripts, token, host.question(*question(release)), adds_pools=adds_pools)


def bootstrap(context: PrepareContext, observation: Observation, operation: Bootstrap) -> Observation:
    """Set up Docker, Compose and the watcher on a host, and return its new state. Raises BootstrapFailed."""
    connections, target, started = context.connections, _host(observation), time.monotonic()
    release = context.planner.release(observation).release
    connections.output.start("bootstrapping", operation.lacks, target)
    step = bootstrap_step(connections.scripts, release, operation)
    outcome = follow(connections, target, step, timeout=BOOTSTRAPPING)
    _log_in_again(context, target)
    if not outcome:
        raise BootstrapFailed(
            target.name,
            f"could not install Docker: {outcome.reason}",
            hint=ADVICE.get(outcome.code, "install Docker Engine and Compose v2 on the host, then deploy again"),
            left_behind="installed packages are kept; bootstrap can be repeated",
        )
    ready = f"Docker {outcome.engine}, Compose {outcome.compose}" if operation.installs_engine else operation.lacks
    connections.output.done("bootstrapping", ready, target, seconds=time.monotonic() - started)
    return replace(observation, facts=outcome.facts) if outcome.facts else _again(context, observation)


ADVICE = {
    "system": "use Debian or Ubuntu, or install Docker Engine and Compose v2 by hand",
    "privilege": "log in as root (`ssh.user`), or let the user run sudo without a password",
    "network": "give the host access to its package mirror, or install Docker by hand",
    "daemon": "run `journalctl -u docker` on the host",
    "compose": "install the Compose plugin on the host: https://docs.docker.com/compose/install/linux/",
}


def _send(context: PrepareContext, observation: Observation, plan: StackPlan) -> str:
    if context.source_waits or not plan.first(SendSource):
        return ""
    assert observation.facts is not None
    return context.workspace.send(_host(observation), observation.stack, observation.facts)


def pull_step(scripts: Scripts, operation: PullImages, asked: tuple[str, ...] = ()) -> Callable[[str], Step]:
    """Return the step that pulls third-party images, and then reports what is `asked`."""
    return lambda token: host.pull(scripts, token, operation.images, asked=asked)


def _pull(
    context: PrepareContext, observation: Observation, operation: PullImages
) -> tuple[tuple[str, ...], Observation]:
    """Pull third-party images; an image that the host cannot pull but this machine has is sent over SSH.

    Returns the images that arrived neither way: the release tries them again and reports them. Also returns the host
    as observed after the pull: the entrypoint and the metadata of the main service's image are known only then.
    """
    connections, target, facts, images = context.connections, _host(observation), observation.facts, operation.images
    assert facts is not None
    is_main = context.planner.main_image in images
    release = context.planner.release(observation).release
    services = ServiceNames.of(release.images, context.planner.project.main)
    asked = host.question(*question(release)) if is_main else ()
    connections.output.start("pulling", ", ".join(images), target)
    step = pull_step(connections.scripts, operation, asked)
    outcome = follow(connections, target, step, timeout=PULLING, services=services)
    arrived = {pulled.image: pulled.platform for pulled in outcome.images if pulled.ok}
    for image, platform in arrived.items():
        for refusal in admission.foreign_platform(target.name, facts, image, platform):
            raise refusal
    here = tuple(image for image in images if image not in arrived and context.transfer.has(image, facts))
    if here:
        connections.output.info(f"Cannot pull {', '.join(here)}; sending it from this machine", target, phase="pulling")
        context.transfer.send_to(target, connections.remote(target), host.load(connections.scripts), here)
    missing = tuple(image for image in images if image not in arrived and image not in here)
    if is_main and here:
        return missing, _again(context, observation)
    return missing, replace(observation, facts=outcome.facts) if outcome.facts else observation


def observed_again(context: PrepareContext, prepared: PreparedHost) -> PreparedHost:
    """Return the host's current state; if somebody has removed the stack meanwhile, its workspace is empty again."""
    observation = _unlocked(_again(context, prepared.observation))
    folder = context.workspace.folder
    assert observation.facts is not None
    if folder in prepared.facts.workspace and folder not in observation.facts.workspace:
        context.connections.output.warn(
            f"{prepared.host.name}: {prepared.stack} was removed while this deploy was running"
        )
        return PreparedHost(observation, prepared.missing)
    return PreparedHost(observation, prepared.missing, prepared.source)
