"""Whole rollbacks as text, `host$ command`; see test_transcripts.py."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.commands.hooks import FOLDER
from kamal_dev.errors import Declined, DevError, UsageError
from kamal_dev.model import Host, Image, Result, Step
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.rollback import RollbackOptions, preview, rollback
from kamal_dev.pipeline.versions import rows, versions
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Machine, RecordedHost, RecordedRun, lines, transcript
from tests.transcripts.test_transcripts import CRASHED, FIRST, IMAGE, SECOND, SECRETS, project, root, with_hooks

__all__ = ["project", "root", "with_hooks"]
HERE = Path(__file__).parent / "rollback"
OLD, NEW, BAD = "aaaaaaa1", "aaaaaaa2", "bbbbbbb3"


def kept(stack: str, version: str, **values: Any) -> dict[str, Any]:
    """Return one line of host/releases.sh."""
    known = {
        "type": "release",
        "stack": stack,
        "id": f"{version}-00000000",
        "version": version,
        "commit": f"c{version}",
    }
    about = {"performer": "ann", "at": "2026-01-02T03:04:05Z", "good": True, "state": "new"}
    return {**known, **about, **values}


def history(stack: str, **oldest: Any) -> tuple[dict[str, Any], ...]:
    """Return three releases: one that fell, the current one, and one before."""
    fell = {"good": False, "state": "restored", "phase": "observe", "reason": "app did not stay up"}
    return (
        kept(stack, BAD, **fell),
        kept(stack, NEW, is_current=True, is_last_good=True),
        kept(stack, OLD, is_before=True, **oldest),
    )


class Remembering(RecordedHost):
    """A host on paper that has had releases."""

    def __init__(self, name: str, state: HostState, releases: Iterable[dict[str, Any]]) -> None:
        super().__init__(name, state, Image("", "none", "none"), "")
        self._releases = tuple(releases)

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        verb = step.text.split()[0]
        if verb == "releases":
            return Result(step, 0, lines(*self._releases, {"type": "result", "ok": True}))
        if verb == "rollback" and self._outcome:
            return Result(step, 1, lines(*self._outcome))
        return super().answer(step)


@dataclass(frozen=True)
class Case:
    """One rollback: how the second host takes it, and what is asked for."""

    order: RollbackOptions
    second: HostState = field(default_factory=HostState)
    is_gone: bool = False


CASES = {
    "to_the_one_before": Case(RollbackOptions()),
    "to_a_version_on_one_stack": Case(RollbackOptions(words=("bbb",), hosts=(SECOND,))),
    "with_an_image_that_is_gone": Case(RollbackOptions(words=(FIRST, OLD)), is_gone=True),
    "that_does_not_come_up": Case(RollbackOptions(), HostState(outcome=CRASHED)),
    "to_an_unknown_version": Case(RollbackOptions(words=("aaaaaax1",))),
}


def recorded(project: Project, case: Case) -> tuple[RecordedRun, str]:
    """Roll back on paper; return the run, and what it ended with."""
    run = RecordedRun.of(project, Machine(), {FIRST: HostState(), SECOND: case.second})
    gone = {"missing": [f"{IMAGE}:{OLD}@sha256:1"]} if case.is_gone else {}
    run.hosts[FIRST] = Remembering(FIRST, HostState(), history(FIRST, **gone))
    run.hosts[SECOND] = Remembering(SECOND, case.second, history(SECOND))
    try:
        end = str(rollback(run, case.order))
    except DevError as error:
        end = f"error: {error}\nhint: {error.hint}"
    finally:
        run.close()
    return run, end


@pytest.mark.parametrize("name", CASES)
def test_a_rollback_runs_exactly_what_its_transcript_says(name: str, project: Project) -> None:
    run, end = recorded(project, CASES[name])
    text = transcript(run, end)
    path = HERE / f"{name}.txt"
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        path.write_text(text)
    assert text == path.read_text()
    steps = [step for recorder in run.recorders for step in recorder.steps]
    assert not [step for step in steps for secret in SECRETS.values() if secret in f"{step.argv}{step}"]
    is_sent = any(SECRETS["REGISTRY_TOKEN"].encode() in _unpacked(step) for step in steps)
    assert is_sent == CASES[name].is_gone, "the credential goes only where something is pulled"


def _unpacked(step: Step) -> bytes:
    import gzip

    return gzip.decompress(step.stdin) if step.stdin else b""


@pytest.mark.usefixtures("with_hooks")
@pytest.mark.parametrize(
    ("name", "result"), [("to_the_one_before", "rolled back"), ("that_does_not_come_up", "failed")]
)
def test_hooks_run_before_the_first_connection_and_once_stacks_went_back(
    name: str, result: str, project: Project
) -> None:
    run, _ = recorded(project, CASES[name])
    ran = [
        (step.label.rpartition("/")[2], dict(step.environment)) for step in run.machine.steps if FOLDER in step.label
    ]
    (connect, before), *checks, (back, after) = ran
    assert (connect, back) == ("pre-connect", "post-rollback")
    assert {hook for hook, _ in checks} == {"health"}
    assert "KAMAL_VERSION" not in before
    assert (after["KAMAL_COMMAND"], after["DEV_RESULT"]) == ("rollback", result)
    assert after["DEV_STACKS"] == f"{FIRST},{SECOND}"
    assert OLD in after["KAMAL_VERSION"].split(",")


@pytest.mark.usefixtures("with_hooks")
def test_a_hook_that_fails_before_a_rollback_changes_nothing_and_one_after_it_is_said(project: Project) -> None:
    hosts = {FIRST: HostState()}
    for name in ("pre-connect", "post-rollback"):
        run = RecordedRun.of(project, Machine(), hosts)
        run.hosts[FIRST] = Remembering(FIRST, HostState(), history(FIRST))
        run.machine.failing_hook = name
        if name == "pre-connect":
            with pytest.raises(DevError, match="hook `pre-connect` exited with code 1"):
                rollback(run, RollbackOptions())
            assert run.hosts[FIRST].transcript == []
            assert not rollback(run, RollbackOptions(skip_hooks=True)).error()
        else:
            report = rollback(run, RollbackOptions())
            assert [outcome.state for outcome in report.outcomes] == ["rolled back"]
            assert "hook `post-rollback` exited" in str(report.error())
        run.close()


def test_a_stack_without_a_good_release_before_refuses_before_anything_is_changed(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: HostState()})
    run.hosts[FIRST] = Remembering(FIRST, HostState(), [kept(FIRST, NEW, is_current=True)])
    with pytest.raises(UsageError, match="guestbook-1: there is no good release before the current one"):
        rollback(run, RollbackOptions())
    assert run.hosts[FIRST].transcript == [f"{FIRST}$ releases {FIRST}"]
    run.close()


def test_the_plan_is_shown_before_somebody_is_asked_and_a_preview_changes_nothing(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: HostState()})
    run.hosts[FIRST] = Remembering(FIRST, HostState(), history(FIRST))
    (planned,) = preview(run, RollbackOptions()).stacks
    assert run.events == []
    with pytest.raises(Declined):
        rollback(run, RollbackOptions(agree=lambda _: False))
    assert [event.message for event in run.events] == [f"{FIRST}  {line}" for line in planned.lines]
    assert set(run.hosts[FIRST].transcript) == {f"{FIRST}$ releases {FIRST}"}
    run.close()


def test_a_release_of_the_version_that_runs_is_named_by_its_hash(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: HostState()})
    one = kept(FIRST, OLD, id=f"{OLD}-11111111", is_before=True)
    run.hosts[FIRST] = Remembering(FIRST, HostState(), [kept(FIRST, OLD, is_current=True), one])
    report = rollback(run, RollbackOptions())
    assert [sentence(event) for event in run.events if event.status == "started"] == [
        f"Rolling back to {OLD} (release 11111111)"
    ]
    assert str(report).endswith(f"✓ up with {OLD} (release 11111111) again ()")
    run.close()


def test_a_word_that_is_neither_a_stack_nor_a_version_is_said_to_be_neither(project: Project) -> None:
    _, end = recorded(project, Case(RollbackOptions(words=("guestbook-7",))))
    assert end == (
        "error: `guestbook-7` is neither a stack nor a version on guestbook-1, guestbook-2\n"
        f"hint: did you mean `guestbook-2`? stacks: guestbook-1, guestbook-2; versions: {BAD}, {NEW}, {OLD}"
    )
    _, end = recorded(project, Case(RollbackOptions(words=(FIRST, "aaaaaax1"))))
    assert end.startswith(
        "error: `aaaaaax1` is neither a stack nor a version on guestbook-1\nhint: did you mean `aaaaaaa1`?"
    )


def test_several_stacks_and_a_version_may_be_named(project: Project) -> None:
    run, _ = recorded(project, Case(RollbackOptions(words=("guestbook-*", "bbb"))))
    assert "rollback" in " ".join(step.text for recorder in run.recorders for step in recorder.steps)
    for words in ((FIRST, SECOND, "bbb"), ("bbb", SECOND, FIRST), (SECOND, FIRST, "bbb")):
        planned = preview(run, RollbackOptions(words=words)).stacks
        assert [item.stack for item in planned] == [FIRST, SECOND]
    _, end = recorded(project, Case(RollbackOptions(words=("guestbok-1", "bbb"))))
    assert end.startswith("error: there is no stack `guestbok-1`\nhint: did you mean `guestbook-1`?")


def test_the_hints_of_a_rollback_that_failed_are_about_rollbacks(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: HostState(), SECOND: HostState(outcome=CRASHED)})
    run.hosts[SECOND] = Remembering(SECOND, HostState(outcome=CRASHED), history(SECOND))
    run.provider.stacks = lambda: ((FIRST, Host(FIRST, "")), (SECOND, Host(SECOND, "10.0.0.2")))  # type: ignore[method-assign]
    report = rollback(run, RollbackOptions())
    off, crashed = (outcome.error for outcome in report.outcomes)
    assert off
    assert off.hint.startswith(f"`dev deploy {FIRST}` starts the host first; then `dev rollback {FIRST} VERSION`")
    assert crashed
    assert crashed.hint == (f"`dev versions` shows the good releases; `dev rollback {SECOND} VERSION` selects another")
    error = report.error()
    assert error
    assert error.hint == (
        f"`dev status` shows what is running; `dev rollback {OLD} --host {FIRST} --host {SECOND}` retries"
    )
    run.close()


def test_a_version_may_be_given_as_tables_show_it(project: Project) -> None:
    dirty = f"{'a' * 40}-dirty-{'b' * 16}"
    run = RecordedRun.of(project, Machine(), {FIRST: HostState()})
    run.hosts[FIRST] = Remembering(FIRST, HostState(), [kept(FIRST, NEW, is_current=True), kept(FIRST, dirty)])
    assert rollback(run, RollbackOptions(words=("aaaaaaaaaaaa-dirty-bbbbbb",))).version == dirty
    run.close()


def test_the_beginning_of_several_versions_names_none(project: Project) -> None:
    run, end = recorded(project, Case(RollbackOptions(words=("aaaaaaa",))))
    assert "`aaaaaaa` names several versions of guestbook-1" in end
    assert f"choose one: {NEW}, {OLD}" in end
    assert not [step for recorder in run.recorders for step in recorder.steps if step.text.startswith("rollback")]


def test_versions_say_who_deployed_what_and_how_it_ended(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: HostState()})
    fresh = kept(FIRST, "ddd", state="", good=False)
    undone = kept(FIRST, "eee", good=False)
    run.hosts[FIRST] = Remembering(FIRST, HostState(), [fresh, *history(FIRST, missing=["x", "y"]), undone])
    (found,) = versions(run, (FIRST,))
    told = [row[1:] for row in rows(found)]
    when = ("ann", "2026-01-02 03:04:05")
    assert told == [
        ("ddd", "00000000", *when, "never finished", "present", "from cddd"),
        (BAD, "00000000", *when, "failed in observe: app did not stay up", "present", f"from c{BAD}"[:17]),
        (NEW, "00000000", *when, "good", "present", f"current, last good, {f'from c{NEW}'[:17]}"),
        (OLD, "00000000", *when, "good", "2 missing", f"from c{OLD}"[:17]),
        ("eee", "00000000", *when, "unfinished since it was restored", "present", "from ceee"),
    ]
    run.close()


def test_every_transcript_belongs_to_a_case() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == set(CASES)
