"""Ask the hosts of a deploy what they are and what they run, all in parallel. Decides and changes nothing."""

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
PATIENCE = 20.0  # seconds for the hosts to answer; a plan is then made without the others
GRACE = 5.0  # seconds for the other hosts once the first one has answered


def look(connections: HostConnections, target: Host, release: Release) -> Facts:
    """Ask a host for its facts and for what it runs of this stack. Raises NoAnswer."""
    step = host.facts(connections.scripts, *question(release))
    result = answers.outcome(ask(connections, target, step, timeout=LOOKING).output)
    if result.facts is None:
        raise NoAnswer(target.name, f"could not inspect the host: {result.reason}", hint=ASKED)
    return result.facts


def question(release: Release) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return the question to a host about a release: its stack, images and ports."""
    images = (*dict.fromkeys(image.reference for _, image in release.images), *release.third_party)
    return release.stack, images, release.ports


def observe(
    connections: HostConnections, stack: str, target: Host | None, release: Release, *, is_deep: bool = False
) -> Observation:
    """Return what is known about a stack's host; `is_deep` also asks who works in the containers. Never raises."""
    if target is None or not target.address:
        return Observation(stack, target)
    try:
        with connections.budget.counting(target.name):
            facts = look(connections, target, release)
            contents = look_inside(connections, target, stack) if is_deep and facts.release else Contents()
    except DevError as error:
        return Observation(stack, target, error=error)
    return observation_of(stack, target, facts, contents)


def observation_of(stack: str, target: Host | None, facts: Facts, contents: Contents) -> Observation:
    """Return the observation of a stack from what its host answered."""
    inside = tuple((item.service, what) for item in contents.inside for what in item.inside)
    return Observation(stack, target, facts, inside=inside, files=contents.files)


def look_inside(connections: HostConnections, target: Host, stack: str) -> Contents:
    """Ask for the compose files of the current release and for who works in its containers. Raises NoAnswer."""
    return answers.contents(ask(connections, target, host.contents(connections.scripts, stack), timeout=LOOKING).output)


class Observations:
    """Observe hosts in the background, at most `limit` at once."""

    def __init__(self, stacks: Mapping[str, Host | None], work: Callable[[str], Observation], *, limit: int) -> None:
        self._hosts = stacks
        room = Semaphore(limit)

        def one(stack: str) -> Observation:
            with room:
                return work(stack)

        self._answers = {stack: Background(lambda stack=stack: one(stack)) for stack in stacks}  # type: ignore[misc]

    def of(self, stack: str) -> Observation:
        """Wait for one host, and return what is known about it."""
        return self._answers[stack].result()

    def soon(self) -> tuple[Observation, ...]:
        """Return the observations of all hosts; a slow host counts as not answering yet."""
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
