"""What `dev lock release` says of a change that it has ended."""

from __future__ import annotations

from kamal_dev.model import Image, Result, Step
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.lock import release
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Machine, RecordedHost, RecordedRun, lines
from tests.transcripts.test_transcripts import FIRST, project, root

__all__ = ["project", "root"]
LOCK = {"pid": 7, "since": "now", "word": "apply", "state": "held", "by": "ann"}


class Locked(RecordedHost):
    """A host on paper on which somebody is changing the stack."""

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        if step.text == f"unlock {FIRST}":
            return Result(
                step, 0, lines({"type": "stack", "stack": FIRST, "lock": LOCK}, {"type": "result", "ok": True})
            )
        return Result(step, 0, lines({"type": "result", "ok": True, "state": "interrupted", "code": "ended"}))


def test_one_who_ends_a_change_between_two_releases_is_told_what_mends_it(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: HostState()})
    run.hosts[FIRST] = Locked(FIRST, HostState(), Image("", "none", "none"), "")
    release(run, FIRST, agree=lambda question: True)
    run.close()
    done, advice = run.events[-2:]
    left = "the run ended between two releases; `dev status` shows what is running"
    assert sentence(done) == f"Released the lock of ann (`apply` since now, process 7 on the host) ({left})"
    assert advice.hint.startswith("`dev deploy` completes it; `dev rollback` goes back")
