"""Ask the hosts of a deploy what they are and what they run, all at once. Decides nothing, changes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Semaphore

from kamal_dev.commands import answers, host
from kamal_dev.commands.facts import Facts
from kamal_dev.commands.stacks import Contents
from kamal_dev.errors import DevError, NoAnswer
from kamal_dev.model import Host, Release
from kamal_dev.pipeline.hosts.scripts import ASKED, ask
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.plan.observation import Observation
from kamal_dev.shell.fanout import TICK, Background

LOOKING = 60.0
PATIENCE = 20.0  # seconds that hosts have to answer before a plan is made without them
GRACE = 5.0  # and those that the others have once the first answered


def look(connections: HostConnections, target: Host, release: Release) -> Facts:
    """Ask a host what it is and what it runs of this stack. Raises NoAnswer."""
    step = host.facts(connections.scripts, *question(release))
    result = answers.outcome(ask(connections, target, step, timeout=LOOKING).output)
    if result.facts is None:
        raise NoAnswer(target.name, f"could not inspect the host: {result.reason}", hint=ASKED)
    return result.facts


def question(release: Release) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return what a host is asked of a release: its stack, its images, and its ports."""
    images = (*dict.fromkeys(image.reference for _, image in release.images), *release.third_party)
    return release.stack, images, release.ports


def observe(
    connections: HostConnections, stack: str, target: Host | None, release: Release, *, is_deep: bool = False
) -> Observation:
    """Return what is known of the host of a stack; one `is_deep` says who is in the containers, too. Never raises."""
    if target is None or not target.address:
        return Observation(stack, target)
    try:
        with connections.budget.counting(target.name):
            facts = look(connections, target, release)
            contents = look_inside(connections, target, stack) if is_deep and facts.release else Contents()
    except DevError as error:
        return Observation(stack, target, error=error)
    inside = tuple((item.service, what) for item in contents.inside for what in item.inside)
    return Observation(stack, target, facts, inside=inside, files=contents.files)


def look_inside(connections: HostConnections, target: Host, stack: str) -> Contents:
    """Ask what the compose files of the current release are, and who is in its containers. Raises NoAnswer."""
    return answers.contents(ask(connections, target, host.contents(connections.scripts, stack), timeout=LOOKING).output)


class Observations:
    """Observe hosts side by side, at most `limit` at once, from now on."""

    def __init__(self, stacks: Mapping[str, Host | None], work: Callable[[str], Observation], *, limit: int) -> None:
        self._hosts = stacks
        room = Semaphore(limit)

        def one(stack: str) -> Observation:
            with room:
                return work(stack)

        self._answers = {stack: Background(lambda stack=stack: one(stack)) for stack in stacks}  # type: ignore[misc]

    def of(self, stack: str) -> Observation:
        """Wait for one host and return what is known of it."""
        return self._answers[stack].result()

    def soon(self) -> tuple[Observation, ...]:
        """Return what is known within a while; one that takes longer is said not to have answered yet."""
        until = time.monotonic() + PATIENCE
        is_first = True
        while (waiting := self.silent) and time.monotonic() < until:
            if is_first and len(waiting) < len(self._answers):
                until, is_first = min(until, time.monotonic() + GRACE), False
            self._answers[waiting[0]].wait(min(TICK, max(until - time.monotonic(), 0)))
        return tuple(self._now(stack) for stack in self._answers)

    @property
    def silent(self) -> tuple[str, ...]:
        """The stacks whose hosts have not answered yet."""
        return tuple(stack for stack, answer in self._answers.items() if not answer.is_done)

    def _now(self, stack: str) -> Observation:
        if self._answers[stack].is_done:
            return self.of(stack)
        return Observation(stack, self._hosts[stack], error=NoAnswer(stack, "the host has not answered yet"))
