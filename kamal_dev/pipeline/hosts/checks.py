"""The host checks of `dev doctor`. They run the script that a deploy starts with, on all hosts at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from kamal_dev.commands import answers, host
from kamal_dev.commands.facts import MINIMAL_COMPOSE, Facts, words
from kamal_dev.commands.words import is_stack_word
from kamal_dev.devcontainer import Devcontainer, requirements
from kamal_dev.errors import DevError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.plan.admission import INSTALL_THERE, OVERRIDE, WARNED, WRITABLE, Requirements, short_of
from kamal_dev.project import Project
from kamal_dev.providers import Provider
from kamal_dev.shell.fanout import each
from kamal_dev.values import dataclass

ASKING = 60.0
INSTALLS = ("root", "sudo")
BY_HAND = "log in as root (`ssh.user`), let the user run sudo without a password, or install Docker by hand"


def host_checks(
    project: Project, hosts: Mapping[str, Host], connections: HostConnections, *, only_warns: bool
) -> list[Check]:
    """Check every host that is switched on; a host that fails or does not answer does not stop the others."""
    stacks = tuple(hosts.items())
    if not stacks:
        return [Check("hosts", True, "no host yet: `dev deploy` creates them")]
    on = [(stack, target) for stack, target in stacks if target.address]
    off = [stack for stack, target in stacks if not target.address]
    replies = each(on, lambda item: _ask(connections, *item), limit=connections.limit)
    checks = [judged(stack, facts) for (stack, _), facts in zip(on, replies, strict=True)]
    answering = sum(isinstance(facts, Facts) for facts in replies)
    short = [
        _required(project, stack, facts, only_warns=only_warns) for (stack, _), facts in zip(on, replies, strict=True)
    ]
    return [_summary(len(stacks), answering, off, is_fine=answering == len(on)), *checks, *filter(None, short)]


def _required(project: Project, stack: str, facts: Facts | DevError, *, only_warns: bool) -> Check | None:
    """Compare a host with `hostRequirements`; None if it meets them."""
    devcontainer = project.devcontainer
    missing = () if isinstance(facts, DevError) else _short_of(devcontainer, facts)
    if not missing:
        return None
    state = f"it has {', '.join(missing)} that `hostRequirements` asks for ({devcontainer.where('hostRequirements')})"
    return Check(_name(stack), only_warns, state, advice(only_warns=only_warns), only_warns)


def advice(*, only_warns: bool) -> str:
    """Return what to do about unmet requirements; empty if they only cause a warning."""
    return WARNED if only_warns else OVERRIDE


def lacking_capacity(project: Project, provider: Provider) -> tuple[str, ...]:
    """Return the `hostRequirements` that exceed what the provider offers."""
    asked = project.devcontainer.host_requirements
    capacity = provider.capacity() if asked else None
    if capacity is None:
        return ()
    return requirements.lacking(asked, cpus=capacity.cpus, memory=capacity.memory, disk=capacity.disk, gpu=capacity.gpu)


def _short_of(configuration: Devcontainer, facts: Facts) -> tuple[str, ...]:
    return short_of(Requirements(configuration.host_requirements), facts)


def _name(stack: str) -> str:
    return f"host of {stack}" if is_stack_word(stack) else f"host {stack}"


def _ask(connections: HostConnections, stack: str, target: Host) -> Facts:
    # A host that shares stacks is asked for itself.
    step = host.facts(connections.scripts, stack if is_stack_word(stack) else "none")
    facts = answers.facts(output_of(connections, target, step, timeout=ASKING))
    if facts is None:
        raise DevError("could not inspect the host")
    return facts


def _summary(count: int, answering: int, off: list[str], *, is_fine: bool) -> Check:
    state = f"{answering} of {count} hosts answer"
    if not off:
        return Check("hosts", is_fine, state)
    advice = f"`dev deploy {off[0]}` starts it" if len(off) == 1 else "`dev deploy NAME` starts one of them"
    return Check("hosts", is_fine, f"{state}; switched off: {', '.join(off)}", advice, is_warning=True)


def judged(stack: str, facts: Facts | DevError) -> Check:
    """Decide from a host's facts whether it can take a deploy."""
    name = _name(stack)
    if isinstance(facts, DevError):
        return Check(name, False, facts.message, facts.hint)
    if hopeless := _hopeless(facts):
        return Check(name, False, *hopeless)
    if facts.is_ready:
        state = f"Docker {facts.engine}, Compose {facts.compose}, {_login(facts)}"
        watched = "; not watched" if facts.unwatched else ""
        return Check(name, True, f"{state}{watched}", facts.unwatched, bool(watched))
    may_install = facts.privilege in INSTALLS
    if facts.daemon:
        state = f"Compose is {facts.compose or 'missing'}, and {words(MINIMAL_COMPOSE)} or later is needed"
        return Check(name, may_install, state, "the first deploy installs it" if may_install else BY_HAND, may_install)
    if facts.has_engine:
        may_start = may_install and not facts.engine_address
        advice = "the next deploy tries to start it" if may_start else "start it, or allow the user to use it"
        return Check(name, False, facts.trouble, advice)
    advice = "the first deploy installs it" if may_install else BY_HAND
    return Check(name, may_install, facts.trouble, advice, may_install)


def _hopeless(facts: Facts) -> tuple[str, str] | None:
    """Return what keeps any script from running on the host, and what to do about it."""
    if facts.lacks:
        return f"missing programs: {', '.join(facts.lacks)}", INSTALL_THERE
    return (f"`~/.kamal-dev` cannot be written: {facts.unwritable}", WRITABLE) if facts.unwritable else None


def _login(facts: Facts) -> str:
    return f"{facts.disk_free / (1 << 30):.0f} GB free, as `{facts.user}`"


@dataclass(frozen=True)
class Check:
    """Hold the result of one check, and what to do if it failed.

    `is_warning` marks a finding that needs attention but does not make a deploy fail.
    """

    name: str
    is_fine: bool
    message: str
    advice: str = ""
    is_warning: bool = False

    def __str__(self) -> str:
        mark = "✗" if not self.is_fine else "!" if self.is_warning else "✓"
        advice = f"\n  hint: {self.advice}" if self.advice and mark != "✓" else ""
        return f"{mark} {self.name}: {self.message}{advice}"

    def as_json(self) -> dict[str, Any]:
        """Return the check for `--json`."""
        return asdict(self)
