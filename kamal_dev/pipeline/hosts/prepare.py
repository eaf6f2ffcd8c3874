"""Get one host ready for a release: connect, look, bootstrap, fetch third-party images and the source."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

from kamal_dev.commands import answers, events, host
from kamal_dev.errors import BootstrapFailed, HostError, NoAnswer
from kamal_dev.model import Host, Image, Release
from kamal_dev.pipeline.hosts.admission import Gate, admit
from kamal_dev.pipeline.hosts.lock_wait import await_turn
from kamal_dev.pipeline.hosts.scripts import ASKED, ask, follow
from kamal_dev.pipeline.hosts.transfer import ImageTransfer
from kamal_dev.pipeline.hosts.workspace import Workspace
from kamal_dev.pipeline.images import platforms
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.run import Run
from kamal_dev.shell.fanout import Background

LOOKING = 60.0
BOOTSTRAPPING = 1800.0
PULLING = 3600.0
WRITABLE = "let the login user write to its home folder there; `dmesg` says why a file system became read-only"
INSTALL_THERE = "install `coreutils` and `util-linux` there; a BusyBox of 1.34 or later has them too"


@dataclass(frozen=True)
class PreparedHost:
    """Hold a host that can take a release, what it said of itself, and the third-party images it could not get.

    `source` is what became of the workspace, as `Workspace.bring` says; empty where it was not brought yet.
    `seen` is the moment at which it said so, by the clock that only grows.
    """

    stack: str
    host: Host
    facts: events.Facts
    missing: tuple[str, ...] = ()
    source: str = ""
    seen: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class PrepareContext:
    """Hold what hosts are made ready with; `source_waits` until the release is applied.

    `images` are those that are being built, with the platforms that they will have.
    """

    parcels: ImageTransfer
    workspace: Workspace
    lending: RegistryTunnel
    hooks: Hooks
    gate: Gate
    source_waits: bool = False
    images: tuple[Image, ...] = ()

    @property
    def late_workspace(self) -> Workspace | None:
        """What brings the source when the release is applied; None where it was brought before."""
        return self.workspace if self.source_waits else None


def prepare(run: Run, target: Host, release: Release, means: PrepareContext) -> PreparedHost:
    """Make `target` ready for `release`. Raises HostError of the kind that fits."""
    means.lending.begin(target)
    facts = look(run, target, release)
    platforms.require(target, facts, means.images)
    platforms.require_asked(run, target, facts)
    admit(run, target, release, facts, means.gate)
    facts = _unlocked(run, target, release, facts)
    if not facts.is_ready:
        means.hooks.owe_setup(release.stack)
        facts = _bootstrap(run, target, release, facts)
    wanted = tuple(image for image in release.third_party if not facts.held(image))
    # They take a while each and do not need each other.
    source = Background(lambda: _source(target, release, facts, means))
    if run.is_paper:
        # What is written down has one order.
        source.result()
    try:
        missing, facts = _fetch(run, target, release, facts, wanted, means.parcels) if wanted else ((), facts)
    finally:
        brought = source.result()
    _require_foreign(target, release, facts)
    return PreparedHost(release.stack, target, facts, missing, brought)


def _source(target: Host, release: Release, facts: events.Facts, means: PrepareContext) -> str:
    if not release.workspace or means.source_waits:
        return ""
    return means.workspace.bring(target, release.stack, facts)


def _unlocked(run: Run, target: Host, release: Release, facts: events.Facts) -> events.Facts:
    """Return what the host says once nobody else changes the stack. Raises LockHeld."""
    while facts.lock and facts.lock.is_alive:
        if run.is_paper and facts.lock.state != "stale" and run.lock_wait > 0:
            # What is only planned waits for nobody.
            run.output.warn(f"{facts.lock}; `dev deploy` waits for it, {run.lock_wait:.0f} s at most", target)
            break
        await_turn(run, target, release.stack, facts.lock)
        facts = look(run, target, release)
    return facts


def look(run: Run, target: Host, release: Release) -> events.Facts:
    """Ask the host what it is and what it runs of this stack."""
    step = host.facts(run.scripts, release.stack, _images(release), release.ports)
    result = answers.outcome(ask(run, target, step, timeout=LOOKING).output)
    if result.facts is None:
        raise NoAnswer(target.name, f"could not inspect the host: {result.reason}", hint=ASKED)
    return _usable(target, release, result.facts)


def _images(release: Release) -> tuple[str, ...]:
    return (*dict.fromkeys(image.reference for _, image in release.images), *release.third_party)


def _usable(target: Host, release: Release, facts: events.Facts) -> events.Facts:
    """Return the facts of a host that can take the release. Raises HostError where it cannot."""
    refuse_foreign(target, release.stack, facts)
    if facts.lacks:
        raise HostError(
            target.name,
            f"the host lacks what the scripts need: {', '.join(facts.lacks)}",
            hint=INSTALL_THERE,
            left_behind="nothing was changed on the host",
        )
    if facts.unwritable:
        raise HostError(
            target.name,
            f"releases and the workspace cannot be written to `~/.kamal-dev`: {facts.unwritable}",
            hint=WRITABLE,
            left_behind="nothing was changed on the host",
        )
    return facts


def refuse_foreign(target: Host, stack: str, facts: events.Facts) -> None:
    """Refuse to touch a stack of this name that somebody else runs there, before anything is sent."""
    if facts.foreign:
        raise HostError(
            target.name,
            f"another compose project named `{stack}` runs on the host, from {facts.foreign}",
            hint="deploy under another name (`service` or `naming.pattern` in config/dev.yml), or to another host",
            left_behind="nothing was changed or sent there",
        )


def _bootstrap(run: Run, target: Host, release: Release, facts: events.Facts) -> events.Facts:
    """Make Docker run there; returns what the host says afterwards."""
    started = time.monotonic()
    run.output.start("bootstrapping", _lacking(facts), target)
    asked = host.question(release.stack, _images(release), release.ports)
    outcome = follow(run, target, lambda token: host.bootstrap(run.scripts, token, asked), timeout=BOOTSTRAPPING)
    if not outcome:
        raise BootstrapFailed(
            target.name,
            f"Docker could not be made to run: {outcome.reason}",
            hint=ADVICE.get(outcome.code, "install Docker Engine and Compose v2 there by hand, then deploy again"),
            left_behind="packages that were installed stay; bootstrap can be run again",
        )
    ready = f"Docker {outcome.engine}, Compose {outcome.compose}"
    run.output.done("bootstrapping", ready, target, seconds=time.monotonic() - started)
    return _usable(target, release, outcome.facts) if outcome.facts else look(run, target, release)


def _lacking(facts: events.Facts) -> str:
    return "Compose" if facts.daemon else "Docker"


ADVICE = {
    "system": "use Debian or Ubuntu, or install Docker Engine and Compose v2 there by hand",
    "privilege": "log in as root (`ssh.user`), or let the user run sudo without a password",
    "network": "let the host reach its package mirror, or install Docker there by hand",
    "daemon": "`journalctl -u docker` on the host says why",
    "compose": "install the Compose plugin there: https://docs.docker.com/compose/install/linux/",
}


def _require_foreign(target: Host, release: Release, facts: events.Facts) -> None:
    for image in release.third_party:
        if held := facts.held(image):
            platforms.require_foreign(target, facts, image, held.platform)


def _fetch(
    run: Run, target: Host, release: Release, facts: events.Facts, images: tuple[str, ...], parcels: ImageTransfer
) -> tuple[tuple[str, ...], events.Facts]:
    """Pull third-party images; what the host cannot pull and this machine has is sent over SSH.

    Returns those that arrived neither way: the release tries once more, and reports them. And what the host says of
    itself afterwards, where that matters: how the main service's image wants to be run is known only then.
    """
    run.output.start("pulling", ", ".join(images), target)
    is_main = run.project.compose.service(run.project.main).image in images
    asked = host.question(release.stack, _images(release), release.ports) if is_main else ()
    outcome = follow(run, target, lambda token: host.pull(run.scripts, token, images, asked=asked), timeout=PULLING)
    arrived = {pulled.image: pulled.platform for pulled in outcome.images if pulled.ok}
    for image, platform in arrived.items():
        platforms.require_foreign(target, facts, image, platform)
    here = tuple(image for image in images if image not in arrived and parcels.has(image, facts))
    if here:
        run.output.info(f"Cannot pull {', '.join(here)}; sending it from this machine", target, phase="pulling")
        parcels.send(target.name, run.remote(target), host.load(run.scripts), here)
        outcome = replace(outcome, facts=look(run, target, release) if is_main else None)
    missing = tuple(image for image in images if image not in arrived and image not in here)
    return missing, outcome.facts or facts


OLD = 30.0  # seconds


def is_old(run: Run, ready: PreparedHost) -> bool:
    """Whether the host was asked so long ago that others may have changed the stack since."""
    return not run.is_paper and time.monotonic() - ready.seen > OLD


def brought(run: Run, source: Workspace, release: Release) -> str:
    """Return the folder of the workspace that was given the source; nothing where none is."""
    return source.folder if release.workspace and run.project.workspace_source in ("git", "sync") else ""


def afresh(run: Run, ready: PreparedHost, release: Release, source: Workspace) -> PreparedHost:
    """Return the host as it is now, after the source was sent again where somebody has removed the stack meanwhile."""
    facts = look(run, ready.host, release)
    folder = brought(run, source, release)
    if folder and folder not in facts.workspace:
        run.output.warn(f"{ready.host.name}: {ready.stack} was removed there while this deploy was at work")
        return PreparedHost(ready.stack, ready.host, facts, ready.missing, source.bring(ready.host, ready.stack, facts))
    return PreparedHost(ready.stack, ready.host, facts, ready.missing, ready.source)
