"""What this machine writes down of a verb, and how long it is patient."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kamal_dev.errors import HostError, NothingBuilt, UsageError
from kamal_dev.model import Host, Secret
from kamal_dev.output import Event, Output
from kamal_dev.pipeline import audit
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.run import history, record
from kamal_dev.pipeline.run.budget import HostBudget
from kamal_dev.pipeline.run.record import DeployRecord
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from tests.transcripts.paper import RecordedRun
from tests.transcripts.test_transcripts import CASES, FIRST, SECOND, UP, prepared, project, root

__all__ = ["project", "root"]


def fake_run(private: Path, said: list[Event], **options: Any) -> Run:
    project = SimpleNamespace(private=lambda: private, version="v1", config=SimpleNamespace(service="blog"))
    stacks = {"blog-1": Host("blog-1", "")}
    output = Output(said.append)
    output.redaction.add(Secret('pa"ss\nword-1'))
    values = {"project": project, "output": output, "performer": "ann@laptop"}
    values["connections"] = SimpleNamespace(limit=1)
    return cast("Run", SimpleNamespace(**{**values, "stacks": stacks, **options}))


def note(run: Run, command: str, results: list[StackResult], seconds: float = 0.0) -> None:
    history.note(run.project, run.output, run.performer, command, results, seconds)


def test_no_secret_reaches_the_audit_log_in_any_form(tmp_path: Path) -> None:
    run = fake_run(tmp_path, [])
    error = HostError("blog-1", 'login failed: pa"ss\nword-1 was refused')
    note(run, "deploy", [StackResult("blog-1", "10.0.0.1", "failed", error=error)], 1.25)
    text = (tmp_path / "audit.log").read_text()
    assert "word-1" not in text
    (record,) = map(json.loads, text.splitlines())
    assert record["stacks"][0]["reason"] == "login failed: [redacted] was refused"
    assert (record["by"], record["command"], record["version"], record["seconds"]) == (
        "ann@laptop",
        "deploy",
        "v1",
        1.25,
    )


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    said: list[Event] = []
    note(fake_run(tmp_path / "gone", said), "deploy", [])
    assert [event.status for event in said] == ["warning"]


def test_a_host_that_does_not_answer_is_named_and_the_rest_is_shown(tmp_path: Path) -> None:
    said: list[Event] = []
    run = fake_run(tmp_path, said)
    for state in ("failed", "deployed"):
        note(run, "deploy", [StackResult("blog-1", "", state), StackResult("blog-2", "", "unchanged")])
    found = audit.audit(run, (), 3)
    assert [(entry.stack, entry.result) for entry in found.entries] == [
        ("blog-2", "unchanged"),
        ("blog-1", "deployed"),
        ("blog-2", "unchanged"),
    ]
    assert found.silent == ("blog-1",)
    assert "blog-1: could not read its audit log: the host is not running or does not answer" in said[0].message
    assert [entry.result for entry in audit.audit(run, ("blog-1",), 9).entries] == ["failed", "deployed"]
    assert audit.audit(run, ("blog-2",), 9).silent == (), "it has no host any more, and its record here is shown"


def test_a_name_that_is_no_stack_and_never_was_is_refused_with_the_nearest(tmp_path: Path) -> None:
    run = fake_run(tmp_path, [])
    note(run, "remove", [StackResult("blog-2", "", "removed")])
    with pytest.raises(UsageError, match="there is no stack `blog-7`") as refused:
        audit.audit(run, ("blog-7",), 9)
    assert refused.value.hint == "did you mean `blog-1`?"
    assert [entry.what for entry in audit.audit(run, ("blog-2",), 9).entries] == ["remove"]


def test_the_last_entries_of_one_stack_are_found_behind_those_of_others(tmp_path: Path) -> None:
    run = fake_run(tmp_path, [])
    for stack in ("blog-1", "blog-2", "blog-2"):
        note(run, "deploy", [StackResult(stack, "", "deployed")])
    assert [entry.stack for entry in audit.audit(run, ("blog-1",), 1).entries] == ["blog-1"]


def test_patience_is_endless_unless_it_is_limited_and_only_work_counts() -> None:
    assert HostBudget().remaining("a", 5) == 5
    patience = HostBudget(100)
    assert patience.remaining("a") == 100
    with patience.counting("a"):
        assert patience.remaining("a", 7) == 7
    assert patience.remaining("a") < 100
    assert patience.remaining("b") == 100


def test_a_deploy_that_failed_before_its_hosts_is_down_as_failed_with_its_reason(project: Project) -> None:
    run = RecordedRun.of(project, prepared(project, CASES["nothing_built"]), {FIRST: UP, SECOND: UP})
    with pytest.raises(NothingBuilt) as failed:
        deploy(run, CASES["nothing_built"].order)
    first = failed.value.message.splitlines()[0]
    record = [(entry.stack, entry.result) for entry in audit.audit(run, (), 9).entries if entry.where == "local"]
    assert record == [(FIRST, f"failed: {first}"), (SECOND, f"failed: {first}")]
    run.close()


def test_a_deploy_that_was_interrupted_is_down_as_unknown(tmp_path: Path) -> None:
    run = fake_run(tmp_path, [])
    with pytest.raises(KeyboardInterrupt), DeployRecord(run.project, run.output, run.performer, ("blog-1",), ()):
        raise KeyboardInterrupt
    assert [entry.result for entry in audit.audit(run, (), 9).entries] == ["unknown: interrupted"]


def test_a_damaged_state_file_is_warned_of_once_in_a_run(tmp_path: Path) -> None:
    events: list[Event] = []
    run = fake_run(tmp_path, events)
    (tmp_path / "state.json").write_text("{")
    found = record.remembered(run.project, run.output)
    assert [(event.status, "is damaged" in event.message) for event in events] == [("warning", True)]
    record.update(run.project, run.output, lambda state: state.ended([], [("blog-1", "deployed")]), found)
    assert len(events) == 1
    assert record.remembered(run.project, run.output).state.results == (("blog-1", "deployed"),)
    written = (tmp_path / "state.json").read_bytes()
    record.update(
        run.project,
        run.output,
        lambda state: state.ended([], [("blog-1", "deployed")]),
        record.remembered(run.project, run.output),
    )
    assert ((tmp_path / "state.json").read_bytes(), len(events)) == (written, 1)
    # A run that has not looked at the file before says it when it writes.
    (tmp_path / "state.json").write_text("{")
    record.update(run.project, run.output, lambda state: state)
    assert [event.status for event in events] == ["warning", "warning"]
