"""What `dev remove` says, and which hosts it destroys."""

from __future__ import annotations

import pytest

from kamal_dev.model import Image, Result, Step
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.remove import remove
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Machine, RecordedHost, RecordedRun, lines
from tests.transcripts.test_transcripts import FIRST, SECOND, project, root

__all__ = ["project", "root"]


class Removing(RecordedHost):
    """A host that says whether something of the stack was there."""

    def __init__(self, name: str, *, is_there: bool) -> None:
        super().__init__(name, HostState(), Image("", "none", "none"), "")
        self._is_there = is_there

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        return Result(step, 0, lines({"type": "result", "ok": True, "phase": "remove", "removed": self._is_there}))


def test_a_stack_of_which_nothing_is_there_is_not_said_to_be_removed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: HostState(), SECOND: HostState()})
    destroyed: list[str] = []
    monkeypatch.setattr(run.provider, "destroy", destroyed.extend, raising=False)
    for first, state, end in ((True, "removed", "Removed 1 of 2"), (False, "absent", "Nothing to remove")):
        run.hosts.update({FIRST: Removing(FIRST, is_there=first), SECOND: Removing(SECOND, is_there=False)})
        report = remove(run, (), keep_volumes=False, agree=lambda _: True)
        assert [outcome.state for outcome in report.outcomes] == [state, "absent"]
        assert report.error() is None
        assert sentence(run.events[-1]).startswith(end)
        assert f"Nothing to remove of {SECOND}" in [sentence(event) for event in run.events if event.stack == SECOND]
    assert destroyed == [FIRST]
    run.close()
