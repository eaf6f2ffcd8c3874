"""Whether hosts take a release at all, which is asked before anything is built. Changes nothing."""

from __future__ import annotations

import threading
import time

from kamal_dev.commands import events
from kamal_dev.devcontainer import Devcontainer, requirements
from kamal_dev.errors import DevcontainerError, HostError, Problem
from kamal_dev.model import Host, Release
from kamal_dev.pipeline.run.run import Run
from kamal_dev.shell.fanout import TICK

UNTOUCHED = "nothing was changed on the host"
PATIENCE = 20.0  # seconds for which a build waits for hosts to answer
LEAST_FOR_IMAGES, LEAST_FOR_RELEASE = 16 << 20, 1 << 20
ROOM = "`dev prune` removes what earlier deploys have left over there; `docker system df` there shows what takes space"
OVERRIDE = "`host_requirements: warn` in config/dev.local.yml deploys anyway, on this machine alone"
WARNED = "a deploy warns of this and continues; `host_requirements: refuse` stops the deploy instead"


class Gate:
    """Let a build wait until one host takes the release, or none does."""

    def __init__(self) -> None:
        self._is_decided = threading.Event()
        self._is_open = False

    def open(self) -> None:
        """Say that a host takes the release, or that nobody can know yet."""
        self._is_open = True
        self._is_decided.set()

    def close(self) -> None:
        """Say that no further host will answer."""
        self._is_decided.set()

    def passes(self) -> bool:
        """Wait for an answer, and return whether there is anything to build for."""
        deadline = time.monotonic() + PATIENCE
        while not self._is_decided.wait(TICK) and time.monotonic() < deadline:
            pass
        return self._is_open or not self._is_decided.is_set()


def admit(run: Run, target: Host, release: Release, facts: events.Facts, gate: Gate) -> None:
    """Refuse a host that cannot take `release`, and open the gate for one that can. Raises HostError."""
    require(run, run.project.devcontainer, target, facts)
    # A host on paper does not say what it has.
    if facts.cpus:
        _require_ports(target, facts)
        _require_room(target, release, facts)
    lock = facts.lock
    if not (lock and lock.is_alive) or (run.lock_wait > 0 and lock.state != "stale"):
        gate.open()


def advice(run: Run) -> str:
    """Return what to do about requirements that are not met: nothing must be, where they only warn."""
    return WARNED if run.warns_of_requirements else OVERRIDE


def require(run: Run, found: Devcontainer, target: Host, facts: events.Facts) -> None:
    """Refuse a host that has less than `hostRequirements` asks for, or warn of it where that is wanted."""
    missing = short_of(found, facts)
    if not missing:
        return
    asked = f"`hostRequirements` asks for ({found.where('hostRequirements')})"
    if run.warns_of_requirements:
        run.warn_once(f"{target.name}: the host has {', '.join(missing)} that {asked}")
        return
    raise HostError(
        target.name,
        f"the host has {', '.join(missing)} that {asked}",
        hint=f"deploy to a larger host; {OVERRIDE}",
        left_behind=UNTOUCHED,
    )


def short_of(found: Devcontainer, facts: events.Facts) -> tuple[str, ...]:
    """Say what `hostRequirements` asks for beyond what a host has; a host on paper does not say what that is."""
    if not facts.cpus:
        return ()
    return requirements.lacking(
        found.host_requirements, cpus=facts.cpus, memory=facts.memory, disk=facts.disk, gpu=facts.gpu
    )


def require_capacity(run: Run) -> None:
    """Compare `hostRequirements` with what the provider can give. Raises DevcontainerError, or warns."""
    missing = lacking(run)
    if not missing:
        return
    where = run.project.devcontainer.where("hostRequirements")
    message = f"hosts of the provider `{run.project.config.provider.type}` have at most {', '.join(missing)}"
    if run.warns_of_requirements:
        run.warn_once(f"{where}: hostRequirements: {message}")
        return
    problem = Problem(where.path, where.line, message, "hostRequirements", where.column)
    raise DevcontainerError(problem, hint=OVERRIDE, left_behind="nothing was built or deployed")


def lacking(run: Run) -> tuple[str, ...]:
    """Say what `hostRequirements` asks for beyond what the provider can give."""
    asked = run.project.devcontainer.host_requirements
    capacity = run.provider.capacity() if asked else None
    if capacity is None:
        return ()
    return requirements.lacking(asked, cpus=capacity.cpus, memory=capacity.memory, disk=capacity.disk, gpu=capacity.gpu)


def _require_ports(target: Host, facts: events.Facts) -> None:
    if facts.clashes:
        held = "; ".join(f"port `{clash.port}` is held by {clash.holder}" for clash in facts.clashes)
        raise HostError(
            target.name,
            f"{held}; this stack publishes it",
            hint="publish another port in the compose file (`${NODE_INDEX}` is another number in each stack), "
            "or stop what holds it",
            left_behind=UNTOUCHED,
        )


def _require_room(target: Host, release: Release, facts: events.Facts) -> None:
    """Refuse a disk on which nothing could be written, unless all images are there."""
    images = (*(str(image) for _, image in release.images), *release.third_party)
    short = ""
    if facts.home_free < LEAST_FOR_RELEASE:
        short = f"{_megabytes(facts.home_free)} free for the home folder"
    elif facts.disk_free < LEAST_FOR_IMAGES and facts.engine and not all(map(facts.held, images)):
        short = f"{_megabytes(facts.disk_free)} free for images"
    if short:
        raise HostError(
            target.name,
            f"no space left on the host: {short}",
            hint=ROOM,
            left_behind=UNTOUCHED,
        )


def _megabytes(size: int) -> str:
    return f"{size >> 20} MB"
