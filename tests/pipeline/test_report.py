from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from kamal_dev.commands import events
from kamal_dev.errors import HostUnreachable, ServiceFailed, UsageError
from kamal_dev.model import Container, Host, short
from kamal_dev.pipeline.audit import Entry
from kamal_dev.pipeline.hosts.apply import SERVICE_HINT, outcome
from kamal_dev.pipeline.run.names import restrict
from kamal_dev.pipeline.run.report import Report, StackResult, merged
from kamal_dev.pipeline.status_table import uptime
from kamal_dev.plan.service_change import plan_services

COMMIT = "0123456789abcdef0123456789abcdef01234567"
UP = (Container("app", "b-app-1", "i", "up", "healthy"), Container("seed", "b-seed-1", "i", "completed"))


def report(*outcomes: StackResult) -> Report:
    return Report("Deployed", "abc", outcomes, 48.2)


def test_all_well_is_no_error() -> None:
    done = report(
        StackResult("blog-1", "10.0.0.1", "deployed", "abc", UP), StackResult("blog-2", "10.0.0.2", "unchanged")
    )
    assert done.error() is None
    assert done.summary() == "Deployed 2 of 2 stacks in 48s"
    assert str(done).splitlines()[0] == "  blog-1  10.0.0.1  ✓ up (app, seed: completed)"


def test_one_failure_is_named_and_the_rest_counted_truly() -> None:
    failed = StackResult("blog-2", "10.0.0.2", "failed", COMMIT, error=HostUnreachable("blog-2", "no SSH", hint="look"))
    done = report(StackResult("blog-1", "10.0.0.1", "deployed"), failed)
    error = done.error()
    assert error is not None
    assert error.message == "Deployed 1 of 2 stacks in 48s; failed: blog-2"
    assert error.hint == "`dev status` shows what is running; `dev deploy --skip-build` retries"
    assert str(done).splitlines()[1] == "  blog-2  10.0.0.2  ✗ host unreachable; version 0123456789ab runs"
    named = merged([replace(done, is_named=True), report(StackResult("blog-3", "10.0.0.3", "deployed"))]).error()
    assert named is not None
    assert named.message == "Deployed 2 of 3 stacks in 48s; failed: blog-2"
    assert named.hint == "`dev status` shows what is running; `dev deploy blog-2 --skip-build` retries"


def test_a_retry_is_for_the_stacks_that_failed_and_the_services_that_were_named() -> None:
    failed = StackResult("blog-2", "10.0.0.2", "failed", COMMIT, error=HostUnreachable("blog-2", "no SSH", hint="look"))
    workers = Container("worker", "b-worker-1", "i", "up")
    fine = StackResult("blog-1", "10.0.0.1", "scaled", COMMIT, (*UP, workers, workers))
    hosts = {"blog-2": Host("blog-2", ""), "blog-1": Host("blog-1", "10.0.0.1")}
    plan = plan_services(hosts, "scale", ("worker=2",))
    done = Report("Scaled", "", (fine, failed), plan=plan, services=("worker=2",))
    error = done.error()
    assert error is not None
    assert error.hint.endswith("`dev scale blog-2 worker=2` retries")
    assert "(app, seed: completed, worker ×2)" in str(done)


def test_what_failed_by_itself_is_not_said_to_be_retried() -> None:
    failed = StackResult("blog-2", "10.0.0.2", "failed", COMMIT, error=ServiceFailed("blog-2", "app did not stay up"))
    error = report(failed, StackResult("blog-3", "10.0.0.3", "skipped")).error()
    assert error is not None
    assert error.hint == "`dev status` shows what is running"
    failed = replace(failed, error=ServiceFailed("blog-2", "app did not stay up", hint=SERVICE_HINT))
    error = report(failed).error()
    assert error is not None
    assert error.hint == "", "it was printed already"


@pytest.mark.parametrize(
    ("version", "shown"),
    [
        (COMMIT, "0123456789ab"),
        (f"{COMMIT}-dirty-638c0d1e2f3a4b5c", "0123456789ab-dirty-638c0d"),
        ("uncommitted-638c0d1e2f3a4b5c", "uncommitted-638c0d"),
        (f"{COMMIT}, {COMMIT}-dirty-638c0d1e2f3a4b5c", "0123456789ab, 0123456789ab-dirty-638c0d"),
        ("20261120221500", "20261120221500"),
        ("release-of-november", "release-of-november"),
        ("", ""),
    ],
)
def test_a_version_is_shown_short_but_a_dirty_tree_stays_one(version: str, shown: str) -> None:
    assert short(version) == shown
    assert Entry("now", "local", "ann", "deploy", "blog-1", version).row[5] == (shown or "-")


@pytest.mark.parametrize(
    ("failed", "shown"),
    [
        (f"{COMMIT}-dirty-638c0d1e2f3a4b5c-22222222", "0123456789ab"),
        (f"{COMMIT}-22222222", "0123456789ab (release 11111111)"),
    ],
)
def test_what_was_put_back_is_told_from_what_failed(failed: str, shown: str) -> None:
    told = events.ScriptResult(state="restored", release=failed, current=f"{COMMIT}-11111111", reason="app fell")
    ended = outcome(Host("blog-1", "a"), "blog-1", failed.rpartition("-")[0], told, done="deployed")
    assert str(report(ended)) == f"  blog-1  a  ✗ failed; version {shown} runs"


def test_a_host_that_gave_no_answer_is_not_fine() -> None:
    assert report(StackResult("blog-1", "a", "unknown")).error() is not None


def test_the_report_is_json_as_it_stands() -> None:
    data = json.loads(json.dumps(report(StackResult("blog-1", "a", "deployed", "abc", UP)).result().as_json()))
    assert (data["type"], data["verb"], data["ok"], data["exit_code"]) == ("result", "deploy", True, 0)
    assert data["stacks"][0]["containers"][1]["exit_code"] == 0


def test_a_name_that_is_none_gets_a_suggestion() -> None:
    assert restrict(("blog-1", "blog-2"), ("blog-2",)) == ("blog-2",)
    with pytest.raises(UsageError) as refused:
        restrict(("blog-1", "blog-2"), ("blgo-2",))
    assert refused.value.hint == "did you mean `blog-2`?"


def test_uptime_is_for_what_runs_and_never_negative() -> None:
    now = datetime(2026, 1, 1, 12, 0, 0, tzinfo=timezone.utc)
    running = Container("a", "a", "i", "up", started="2026-01-01T11:55:00.123456789Z")
    assert uptime(running, now) == "5m"
    assert uptime(Container("a", "a", "i", "up", started="2026-01-01T12:00:09Z"), now) == "0s"
    assert uptime(Container("a", "a", "i", "exited 0", started=""), now) == "-"
