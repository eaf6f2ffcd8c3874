"""Decide whether a host can take a release; if not, return the error that a deploy reports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from kamal_dev.commands.facts import Facts, Lock
from kamal_dev.devcontainer import requirements
from kamal_dev.errors import HostError, LockHeld
from kamal_dev.model import Image, Location, Release
from kamal_dev.values import dataclass

UNTOUCHED = "nothing was changed on the host"
SPARE = 10_000_000  # bytes, as in host/parts.sh
LEAST_FOR_IMAGES, LEAST_FOR_RELEASE = 16 << 20, 1 << 20
ROOM = "`dev prune` removes old releases and their images; `docker system df` on the host shows disk usage"
OVERRIDE = "`host_requirements: warn` in config/dev.local.yml deploys anyway, on this machine only"
WARNED = "a deploy warns of this and continues; `host_requirements: refuse` stops the deploy instead"
WRITABLE = "give the SSH user write access to its home folder; `dmesg` shows why a file system became read-only"
OWN_ENGINE = "start it, or unset `DOCKER_HOST` and the Docker context of the SSH user to use the Docker of the host"
NO_RIGHTS = "log in as root (`ssh.user`), add the user to the group `docker`, or let it run sudo without a password"
INSTALL_THERE = "install `coreutils` and `util-linux` on the host, or BusyBox 1.34 or later"
# 32-bit platforms that 64-bit processors run natively.
_ALSO = {"amd64": {"386"}, "arm64": {"arm"}}


@dataclass(frozen=True)
class ServicePlatform:
    """Hold the `platform` that a compose file sets for a service whose image is not built."""

    where: Location
    platform: str
    image: str


@dataclass(frozen=True)
class Requirements:
    """Hold what a project requires of any host; `images` are the ones it builds, with their platforms.

    `asked` is `hostRequirements`, `where` its location. With `warns`, a host that does not meet it is used with a
    warning. `lock_wait` is the number of seconds to wait for a locked stack.
    """

    asked: Mapping[str, Any] = field(default_factory=dict)
    where: Location | None = None
    warns: bool = False
    images: tuple[Image, ...] = ()
    services: tuple[ServicePlatform, ...] = ()
    lock_wait: float = 0.0


def refusal(host: str, release: Release, facts: Facts, needs: Requirements) -> HostError | None:
    """Return the first reason why a host cannot take a release; None if it can."""
    return next(_refusals(host, release, facts, needs), None)


def _refusals(host: str, release: Release, facts: Facts, needs: Requirements) -> Iterator[HostError]:
    yield from _unusable(host, release.stack, facts)
    yield from _wrong_platform(host, facts, needs)
    if (missing := short_of(needs, facts)) and not needs.warns:
        yield HostError(
            host, lacking(missing, needs), hint=f"deploy to a larger host; {OVERRIDE}", left_behind=UNTOUCHED
        )
    # Unknown processors are not compared.
    if facts.cpus:
        yield from _no_ports(host, facts)
        yield from _no_room(host, release, facts)
    if facts.lock and is_held(facts.lock, needs.lock_wait):
        yield held(host, release.stack, facts.lock)
    for image in release.third_party:
        if kept := facts.held(image):
            yield from foreign_platform(host, facts, image, kept.platform)


def _unusable(host: str, stack: str, facts: Facts) -> Iterator[HostError]:
    if error := foreign_project(host, stack, facts):
        yield error
    if facts.lacks:
        message = f"the host lacks required programs: {', '.join(facts.lacks)}"
        yield HostError(host, message, hint=INSTALL_THERE, left_behind=UNTOUCHED)
    if facts.unwritable:
        message = f"releases and the workspace cannot be written to `~/.kamal-dev`: {facts.unwritable}"
        yield HostError(host, message, hint=WRITABLE, left_behind=UNTOUCHED)
    if facts.has_engine and not facts.daemon:
        yield from _unreachable_engine(host, facts)


def _unreachable_engine(host: str, facts: Facts) -> Iterator[HostError]:
    """Yield the refusal of a Docker that bootstrap could neither start nor replace: a rootless one, or without root."""
    if facts.engine_address:
        yield HostError(host, facts.trouble, hint=OWN_ENGINE, left_behind=UNTOUCHED)
    if facts.privilege not in ("root", "sudo"):
        yield HostError(host, facts.trouble, hint=NO_RIGHTS, left_behind=UNTOUCHED)


def foreign_project(host: str, stack: str, facts: Facts) -> HostError | None:
    """Return the refusal to touch a compose project of the same name that was started from elsewhere, if any."""
    if not facts.foreign:
        return None
    return HostError(
        host,
        f"another compose project named `{stack}` runs on the host, from {facts.foreign}",
        hint="deploy under another name (`service` or `naming.pattern` in config/dev.yml), or to another host",
        left_behind="nothing was changed or sent",
    )


# --- what programs are made for


def _wrong_platform(host: str, facts: Facts, needs: Requirements) -> Iterator[HostError]:
    for image in needs.images:
        if not runs(image.platforms, facts):
            yield HostError(
                host,
                f"`{image.reference}` is an image for {', '.join(sorted(image.platforms))}, "
                f"but the host is linux/{facts.arch}",
                hint=f"build it for the host too: `build.platform: linux/{facts.arch}` in config/dev.yml "
                "(a list for several platforms); or deploy to another host",
                left_behind=UNTOUCHED,
            )
    for service in needs.services:
        if not runs([service.platform], facts):
            yield HostError(
                host,
                f"{service.where}: `platform: {service.platform}`, but the host is linux/{facts.arch}",
                hint=f"leave `platform` out if `{service.image}` exists for linux/{facts.arch}, "
                "or let the host emulate it (binfmt)",
                left_behind=UNTOUCHED,
            )


def foreign_platform(host: str, facts: Facts, reference: str, platform: str) -> Iterator[HostError]:
    """Yield the refusal of a third-party image that the host cannot run."""
    if not runs([platform] if platform else (), facts):
        yield HostError(
            host,
            f"`{reference}` is an image for {platform}, but the host is linux/{facts.arch}",
            hint=f"use an image that exists for linux/{facts.arch}, or deploy to another host",
            left_behind=UNTOUCHED,
        )


def runs(platforms: Iterable[str], facts: Facts) -> bool:
    """Return whether the host runs one of these, natively or emulated; also true if either platform is unknown."""
    names = {platform.split("/")[1] for platform in platforms if platform.count("/") >= 1}
    own = {facts.arch, *_ALSO.get(facts.arch, ()), *facts.emulates}
    return not names or not facts.arch or bool(names & own)


# --- what a host has


def short_of(needs: Requirements, facts: Facts) -> tuple[str, ...]:
    """Return the `hostRequirements` that a host does not meet; unknown values are not compared."""
    if not facts.cpus:
        return ()
    return requirements.lacking(needs.asked, cpus=facts.cpus, memory=facts.memory, disk=facts.disk, gpu=facts.gpu)


def lacking(missing: Iterable[str], needs: Requirements) -> str:
    """Return the missing requirements as a sentence."""
    return f"the host has {', '.join(missing)} that `hostRequirements` asks for ({needs.where})"


def _no_ports(host: str, facts: Facts) -> Iterator[HostError]:
    if facts.clashes:
        taken = "; ".join(f"port `{clash.port}` is held by {clash.holder}" for clash in facts.clashes)
        yield HostError(
            host,
            f"{taken}; this stack publishes it",
            hint="publish another port in the compose file (`${NODE_INDEX}` is another number in each stack), "
            "or stop what holds it",
            left_behind=UNTOUCHED,
        )


def _no_room(host: str, release: Release, facts: Facts) -> Iterator[HostError]:
    """Yield the refusal of a full disk, unless all images are already there."""
    images = (*(str(image) for _, image in release.images), *release.third_party)
    if facts.home_free < LEAST_FOR_RELEASE:
        free = f"{facts.home_free >> 20} MB free for the home folder"
    elif facts.disk_free < LEAST_FOR_IMAGES and facts.engine and not all(map(facts.held, images)):
        free = f"{facts.disk_free >> 20} MB free for images"
    else:
        return
    yield HostError(host, f"no space left on the host: {free}", hint=ROOM, left_behind=UNTOUCHED)


# --- who else works there


def is_held(lock: Lock, wait: float) -> bool:
    """Return whether a lock keeps a verb from starting that waits this many seconds."""
    return lock.is_alive and (lock.state == "stale" or wait <= 0)


def held(host: str, stack: str, lock: Lock, wait: float = 0.0) -> LockHeld:
    """Return the error for a stack that another run is changing; `wait` is how many seconds were waited."""
    if lock.state == "stale":
        what = f"`{lock.word}` has made no progress for {lock.age} s"
    else:
        what = f"`{lock.word}` is running" + (f"; waited {wait:.0f} s for it" if wait else "")
    return LockHeld(
        host,
        f"{locked(lock)}: {what}",
        hint=f"`dev lock status {stack}` shows the lock; `dev lock release {stack}` ends it",
        left_behind="nothing was changed on the host by this run",
    )


def locked(lock: Lock) -> str:
    """Return who holds a lock, and since when."""
    since = f"{lock.since[11:16]} UTC" if lock.since[10:11] == "T" else lock.since
    return f"locked by {lock.by or 'somebody'} since {since}"


def size_of(count: int) -> str:
    """Return a number of bytes as people write it."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"
