"""How deploys are reported: each failure once, and to programs as the published schema says."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from kamal_dev.cli.exit import explanation
from kamal_dev.errors import NothingBuilt
from kamal_dev.output.ndjson import Ndjson
from kamal_dev.output.plain import Plain
from kamal_dev.output.redaction import Redaction
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.run.report import Report
from kamal_dev.project import Project
from tests.output import publish
from tests.transcripts.paper import HostState, RecordedRun
from tests.transcripts.test_transcripts import CASES, FIRST, SECOND, UP, Case, prepared, project, root

__all__ = ["project", "root"]

FULL = HostState(
    UP.facts, outcome=({"type": "result", "ok": False, "phase": "pull", "state": "untouched", "code": "disk"},)
)


def deployed(project: Project, case: Case) -> tuple[RecordedRun, Report]:
    settings = replace(project.config.deploy, batch=case.batch, rollback=case.rollback)
    project = replace(project, config=replace(project.config, deploy=settings))
    run = RecordedRun.of(project, prepared(project, case), {FIRST: case.first, SECOND: case.second})
    try:
        return run, deploy(run, case.order)
    finally:
        run.close()


@pytest.mark.parametrize("name", ["a_service_that_crashes", "a_command_that_fails", "a_first_batch_that_fails"])
def test_a_failure_is_reported_once_with_its_hint_once(name: str, project: Project) -> None:
    run, report = deployed(project, CASES[name])
    error, log = report.error(), io.StringIO()
    assert error is not None
    show = Plain(log)
    for event in run.events:
        show(event)
    text = f"{log.getvalue()}{report}\n{explanation(error)}"
    failures = [outcome.error for outcome in report.outcomes if outcome.error and outcome.state == "failed"]
    assert failures
    for failure in failures:
        assert text.count(failure.message.splitlines()[0]) == 1
        assert text.count(failure.hint) == 1


@pytest.mark.parametrize("name", ["first_deploy", "a_service_that_crashes"])
def test_the_lines_for_programs_are_what_the_published_schema_says(name: str, project: Project) -> None:
    run, report = deployed(project, CASES[name])
    stream = io.StringIO()
    show = Ndjson(stream)
    for event in run.events:
        show(event)
    show.result(report.result(), Redaction())
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    for line in lines:
        publish.validator().validate(line)
    assert (lines[-1]["type"], lines[-1]["ok"]) == ("result", name == "first_deploy")
    categories = [stack["error"]["category"] for stack in lines[-1]["stacks"] if stack["error"]]
    assert categories == ([] if name == "first_deploy" else ["service"])
    assert lines[-1]["plan"]["summary"].startswith("build 1 image, push 1 image")
    assert {line["phase"] for line in lines[:-1]} >= {"building", "pushing", "deploying"}


def test_a_full_disk_is_a_kind_of_its_own(project: Project) -> None:
    _, report = deployed(project, Case(UP, FULL))
    (failed,) = [stack.error for stack in report.result().stacks if stack.error]
    assert (failed.category, failed.retryable) == ("disk", False)


def test_an_error_before_any_stack_is_changed_comes_with_the_plan(project: Project) -> None:
    with pytest.raises(NothingBuilt) as failure:
        deployed(project, Case(UP, UP, DeployOptions(skip_build=True), built=False, pushed=False))
    assert failure.value.plan is not None
    assert failure.value.plan["summary"] == "reuse 1 image, apply on 2 hosts"
