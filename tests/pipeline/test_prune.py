"""What `dev prune` shows, asks and removes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from kamal_dev.commands.stacks import Leftover
from kamal_dev.errors import Declined
from kamal_dev.model import Host, Image, Result, Step
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.prune import prune
from kamal_dev.plan.prune import Leftovers, of_one_stack
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Machine, RecordedHost, RecordedRun, lines
from tests.transcripts.test_transcripts import FIRST, SECOND, project, root

__all__ = ["project", "root"]

IMAGE = {"type": "leftover", "kind": "image", "name": "acme/blog:v1", "bytes": 1_200_000_000, "ok": True, "reason": ""}
PLANNED = f"{FIRST}  prune image acme/blog:v1 (1.2 GB)"


class Pruning(RecordedHost):
    """A host that has pieces left over, and keeps what it was told."""

    def __init__(self, name: str, *pieces: dict[str, Any]) -> None:
        super().__init__(name, HostState(), Image("", "none", "none"), "")
        self._pieces = pieces
        self.kept: tuple[dict[str, Any], ...] = ()
        self.allowed: list[str] = []

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        pieces = self._pieces
        if "dry-run" not in step.text:
            with tarfile.open(fileobj=io.BytesIO(step.stdin or b"")) as files:
                content = files.extractfile("meta/pieces")
                assert content
                self.allowed += content.read().decode().splitlines()
            pieces = self.kept or pieces
        return Result(step, 0, lines(*pieces, {"type": "result", "ok": True, "phase": "prune"}))


@pytest.fixture
def run(project: Project) -> Iterator[RecordedRun]:
    made = RecordedRun.of(project, Machine(), {FIRST: HostState(), SECOND: HostState()})
    made.hosts.update({FIRST: Pruning(FIRST, IMAGE), SECOND: Pruning(SECOND)})
    yield made
    made.close()


def steps(run: RecordedRun) -> list[str]:
    return [step.text for name in (FIRST, SECOND) for step in run.hosts[name].steps]


def test_a_dry_run_prints_the_plan_and_removes_nothing(run: RecordedRun) -> None:
    report = prune(run, (), dry_run=True)
    assert str(report) == f"{PLANNED}\n{SECOND}  unchanged (nothing to remove)\n\nWould remove 1 piece, 1.2 GB"
    assert steps(run) == [f"prune {FIRST} dry-run", f"prune {SECOND} dry-run"]
    (first, second) = report.result().stacks
    assert (first.state, second.state) == ("changes", "unchanged")
    assert [(piece.kind, piece.name, piece.bytes) for piece in first.leftovers] == [
        ("image", "acme/blog:v1", 1_200_000_000)
    ]


def test_the_plan_is_shown_before_it_is_asked_for_and_a_no_changes_nothing(run: RecordedRun) -> None:
    asked: list[str] = []

    def refuse(question: str) -> bool:
        asked.append(question)
        assert [sentence(event) for event in run.events][-1] == PLANNED
        return False

    with pytest.raises(Declined):
        prune(run, (), dry_run=False, agree=refuse)
    assert asked == ["Remove 1 piece, 1.2 GB?"]
    assert steps(run) == [f"prune {FIRST} dry-run", f"prune {SECOND} dry-run"]


def test_what_was_agreed_to_is_removed_and_nothing_else(run: RecordedRun) -> None:
    report = prune(run, (), dry_run=False)
    assert str(report) == "Removed 1 piece, 1.2 GB"
    assert steps(run) == [f"prune {FIRST} dry-run", f"prune {FIRST}", f"prune {SECOND} dry-run"]
    assert run.hosts[FIRST].allowed == ["image acme/blog:v1"]
    assert [item.state for item in report.result().stacks] == ["pruned", "unchanged"]
    told = [sentence(event) for event in run.events]
    assert told[0] == "Plan: prune on 1 host"
    assert "Pruned 1 piece, 1.2 GB" in told


def test_the_report_has_what_a_host_kept_and_not_what_was_planned(run: RecordedRun) -> None:
    run.hosts[FIRST].kept = ({**IMAGE, "ok": False, "reason": "a container uses it"},)
    report = prune(run, None, dry_run=False)
    assert [(piece.ok, piece.reason) for piece in report.result().stacks[0].leftovers] == [
        (False, "a container uses it")
    ]
    assert "image acme/blog:v1 was kept: a container uses it" in [sentence(event) for event in run.events]


def test_a_host_without_an_address_is_an_error_and_the_others_are_pruned(run: RecordedRun) -> None:
    run.stacks[SECOND] = Host(SECOND, "")
    report = prune(run, None, dry_run=False)
    assert [(stack.state, stack.ok) for stack in report.result().stacks] == [("pruned", True), ("unknown", False)]
    assert steps(run) == [f"prune {FIRST} dry-run", f"prune {FIRST}"]


def test_what_belongs_to_a_host_is_removed_once_however_many_stacks_it_has() -> None:
    image, release = Leftover("image", "acme/blog:v1"), Leftover("release", "v1")
    one, two = Host("blog-1", "10.0.0.1"), Host("blog-2", "10.0.0.1")
    other = Host("blog-3", "10.0.0.2")
    listed = of_one_stack(Leftovers(host.name, host, (release, image)) for host in (one, two, other))
    assert [item.pieces for item in listed] == [(release, image), (release,), (release, image)]
