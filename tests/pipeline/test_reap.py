"""What `dev reap` shows, asks, stops, removes and destroys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from kamal_dev.errors import Declined
from kamal_dev.model import Image, Result, Step
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.reap import reap, reaping
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Machine, RecordedHost, RecordedRun, lines
from tests.transcripts.test_transcripts import FIRST, SECOND, project, root

__all__ = ["project", "root"]

ENDED = {"ttl": 3600, "ttl_left": -60, "ended": "ttl", "ended_ago": 60}
DUE = {"ttl": 3600, "ttl_left": -60}
LASTING = {"ttl": 3600, "ttl_left": 1800}
DONE = {"phase": "remove", "state": "", "removed": True}
WORK = "uncommitted changes in the workspace"


class Reaped(RecordedHost):
    """A host with a stack that has a lifetime, and its answers about it."""

    def __init__(self, name: str, lifetime: Any, look: str = "over", why: str = "", **done: Any) -> None:
        super().__init__(name, HostState(), Image("", "none", "none"), "")
        self._lifetime = lifetime
        self._look = {"phase": "reap", "state": look, "reason": why}
        self._done = {**DONE, **done}

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        if step.text.startswith("status"):
            stack = {"type": "stack", "stack": self.name, "state": "stopped", "lifetime": self._lifetime}
            return Result(step, 0, lines(*([stack] if self._lifetime else []), {"type": "result", "ok": True}))
        result = self._look if " look" in step.text else self._done
        return Result(step, 0, lines({"type": "result", "ok": True, **result}))


@pytest.fixture
def run(project: Project) -> Iterator[RecordedRun]:
    made = RecordedRun.of(project, Machine(), {FIRST: HostState(), SECOND: HostState()})
    made.hosts.update({FIRST: Reaped(FIRST, ENDED), SECOND: Reaped(SECOND, LASTING)})
    yield made
    made.close()


def steps(run: RecordedRun) -> list[str]:
    return [step.text for name in (FIRST, SECOND) for step in run.hosts[name].steps if "status" not in step.text]


def told(run: RecordedRun) -> list[str]:
    return [sentence(event) for event in run.events]


def yes(question: str) -> bool:
    return True


def test_a_stack_that_is_over_is_removed_and_no_other(run: RecordedRun) -> None:
    asked: list[str] = []
    report = reap(run, (), force=False, agree=lambda question: bool(asked.append(question)) or True)
    assert asked == [f"Remove {FIRST} with all data?"]
    assert steps(run) == [f"reap {FIRST} look", f"reap {FIRST} unless-work"]
    assert [(outcome.stack, outcome.state) for outcome in report.outcomes] == [(FIRST, "removed")]
    assert (report.error(), report.result().verb, told(run)[-1]) == (None, "reap", "Removed 1 of 1 stacks")


def test_a_dry_run_only_asks(run: RecordedRun) -> None:
    _, plan = reaping(run, (), force=False)
    assert str(plan).splitlines() == [
        f"{FIRST}  remove containers, volumes and workspace (ttl ended 1 min ago)",
        f"{SECOND}  unchanged (30 min left)",
    ]
    assert steps(run) == [f"reap {FIRST} look"]


def test_a_no_changes_nothing(run: RecordedRun) -> None:
    with pytest.raises(Declined):
        reap(run, (), force=False, agree=lambda question: False)
    assert steps(run) == [f"reap {FIRST} look"]


def test_work_keeps_a_stopped_stack_and_the_user_is_told_what_to_do(run: RecordedRun) -> None:
    run.hosts[FIRST] = Reaped(FIRST, ENDED, "worked", WORK)
    report = reap(run, (), force=False, agree=None)
    assert [(outcome.stack, outcome.state) for outcome in report.outcomes] == [(FIRST, "kept")]
    assert report.error() is None
    (warning,) = (event for event in run.events if event.status == "warning")
    assert warning.message == f"{FIRST} is kept: {WORK}"
    assert f"`dev pull {FIRST}`" in (warning.hint or "")
    assert told(run)[-1] == "Nothing to remove"


def test_force_does_not_ask_for_work(run: RecordedRun) -> None:
    reap(run, (FIRST,), force=True, agree=yes)
    assert steps(run) == [f"reap {FIRST} look-ended", f"reap {FIRST} ended"]


def test_a_host_without_a_watcher_is_told_to_stop_a_stack_with_work(run: RecordedRun) -> None:
    run.hosts[FIRST] = Reaped(FIRST, DUE, "worked", WORK, state="stopped", removed=False)
    asked: list[str] = []
    report = reap(run, (), force=False, agree=lambda question: bool(asked.append(question)) or True)
    assert asked == [f"Stop {FIRST}?"]
    assert steps(run) == [f"reap {FIRST} look", f"reap {FIRST} stop"]
    assert [outcome.state for outcome in report.outcomes] == ["stopped"]


def test_what_the_host_keeps_meanwhile_is_not_said_to_be_removed(run: RecordedRun) -> None:
    kept = {"ok": False, "state": "kept", "reason": "its lifetime has not ended", "removed": False}
    run.hosts[FIRST] = Reaped(FIRST, ENDED, **kept)
    report = reap(run, (), force=False, agree=yes)
    assert [outcome.state for outcome in report.outcomes] == ["kept"]
    assert f"{FIRST} was kept: its lifetime has not ended" in told(run)


def test_a_failure_on_one_host_is_an_error_and_the_others_are_reaped(run: RecordedRun) -> None:
    run.hosts[SECOND] = Reaped(SECOND, ENDED, ok=False, state="incomplete", reason="volume is in use", removed=False)
    report = reap(run, (), force=False, agree=yes)
    assert {outcome.stack: outcome.state for outcome in report.outcomes} == {FIRST: "removed", SECOND: "failed"}
    assert "volume is in use" in str([event.message for event in run.events])
    error = report.error()
    assert error is not None
    assert (error.exit_code, error.message.partition(" in ")[0]) == (1, "Reaped 1 of 2 stacks")


def test_hosts_are_destroyed_with_their_stacks_and_without_one(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = replace(project.config, provider=replace(project.config.provider, type="docker"))
    states = {FIRST: HostState(), SECOND: HostState()}
    run = RecordedRun.of(replace(project, config=created), Machine(), states)
    run.hosts[FIRST] = Reaped(FIRST, ENDED)
    destroyed: list[str] = []
    monkeypatch.setattr(run.provider, "destroy", destroyed.extend, raising=False)
    run.hosts[SECOND] = Reaped(SECOND, None, "unused", state="unused", removed=False)
    asked: list[str] = []
    report = reap(run, (), force=False, agree=lambda question: bool(asked.append(question)) or True)
    assert asked == [f"Remove {FIRST} with all data, destroy hosts {FIRST}, {SECOND}?"]
    assert steps(run)[2:] == [f"reap {SECOND} look", f"reap {SECOND} unused"]
    assert destroyed == [FIRST, SECOND]
    assert [outcome.state for outcome in report.outcomes] == ["removed", "removed"]
    run.close()
