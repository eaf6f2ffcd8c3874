"""Remember in the state file what later runs need. It decides nothing that a host or the provider knows."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

from kamal_dev.errors import DevError, HostUnreachable
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.names import choose
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.project import Project, state
from kamal_dev.project.state import CachedHost, Change, Found, HostsByStack
from kamal_dev.shell.fanout import Background

WENT_WELL = ("deployed", "unchanged")
UNTIMELY = DevError("interrupted")


class DeployRecord:
    """Record one deploy, as a context manager: that it started, and how it ended or that it did not end."""

    def __init__(
        self, project: Project, output: Output, performer: str, names: tuple[str, ...], creating: tuple[str, ...]
    ) -> None:
        self._project = project
        self._output = output
        self._performer = performer
        self._names = names
        self._has_ended = False
        self._ending = threading.Lock()
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._begun = Background(lambda: written(project, lambda state: state.begun(names, creating, now)))
        if creating:
            # Written before the first host is created and costs money.
            self._begun.result()

    def __enter__(self) -> DeployRecord:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Record why no host got the release, or that the result is unknown."""
        if not self._ends():
            return
        state, why = ("failed", error) if isinstance(error, DevError) else ("unknown", UNTIMELY)
        history.note(
            self._project,
            self._output,
            self._performer,
            "deploy",
            [StackResult(name, "", state, error=why) for name in self._names],
        )

    def ended(self, outcomes: Iterable[StackResult], hosts: dict[str, Host], seconds: float) -> None:
        """Record how the deploy ended; `hosts` are the hosts reached, by stack."""
        if not self._ends():
            return
        outcomes, provider = tuple(outcomes), self._project.config.provider.type
        reached = [
            CachedHost.of(outcome.stack, hosts[outcome.stack], provider)
            for outcome in outcomes
            if outcome.stack in hosts and not isinstance(outcome.error, HostUnreachable)
        ]
        results = [(outcome.stack, outcome.state) for outcome in outcomes]
        before = self._begun.result()
        after = written(self._project, lambda state: state.ended(reached, results))
        for notice in dict.fromkeys((*before, *after)):
            self._output.warn(notice)
        history.note(self._project, self._output, self._performer, "deploy", outcomes, seconds)

    def _ends(self) -> bool:
        """Return whether the end is still to be recorded; an interrupt may end a deploy that ends in its own thread."""
        with self._ending:
            had_ended, self._has_ended = self._has_ended, True
        return not had_ended


def written(project: Project, change: Change) -> tuple[str, ...]:
    """Change the state; return what is wrong with its file. A run continues without it."""
    try:
        return state.update(project.private(), change)
    except OSError as error:
        return (f"the state could not be written: {error}",)


def update(project: Project, output: Output, change: Change, before: Found | None = None) -> None:
    """Change the state, and warn if its file is damaged; problems already reported in `before` are not repeated.

    `before` is the state as it was read: if nothing changes, the file is not written.
    """
    if before and not before.notices and change(before.state) == before.state:
        return
    for notice in written(project, change):
        if before is None or notice not in before.notices:
            output.warn(notice)


def remembered(project: Project, output: Output) -> Found:
    """Return the current state, after a warning if its file is damaged."""
    try:
        record = state.read(project.private())
    except OSError:
        return Found()
    for notice in record.notices:
        output.warn(notice)
    return record


def failed(project: Project, output: Output) -> tuple[str, ...]:
    """Return the stacks whose last deploy failed or did not end."""
    return tuple(name for name, result in remembered(project, output).state.results if result not in WENT_WELL)


def unlisted(known: Iterable[CachedHost], listed: Iterable[tuple[str, Host]]) -> tuple[CachedHost, ...]:
    """Return the hosts that config/dev.yml no longer lists, except those that a provider creates and finds itself."""
    places = HostsByStack(listed)
    return tuple(item for item in known if not item.is_created and not places.has(item))


def listed_places(machines: Iterable[Host], known: Iterable[CachedHost]) -> tuple[tuple[str, Host], ...]:
    """Return where remembered stacks may be, if the listed hosts share stacks: on those of them where they were."""
    listed = {(machine.address, machine.port): machine for machine in machines}
    at = ((item.stack, listed.get((item.address, item.port))) for item in known)
    return tuple((stack, machine) for stack, machine in at if machine)


def still_known(
    project: Project, existing: Iterable[str], names: tuple[str, ...], count: int | None
) -> tuple[str, ...]:
    """Return those of `names` that this project would deploy now, or that have a host."""
    wanted = {*choose(project, count, ()), *existing}
    return tuple(name for name in names if name in wanted)
