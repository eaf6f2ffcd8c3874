from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kamal_dev.model import Secret, Step
from kamal_dev.shell.local import NOT_FOUND, TIMED_OUT, Local


def sh(script: str, **more: object) -> Step:
    return Step(("sh", "-c", script), **more)  # type: ignore[arg-type]


def test_both_streams_and_the_exit_code_come_back() -> None:
    result = Local().run(sh("echo out; echo err >&2; exit 3"))
    assert (result.exit_code, result.output, result.errors) == (3, "out", "err")
    assert not result


def test_lines_are_seen_while_the_command_runs() -> None:
    times: list[float] = []
    Local().run(sh("echo a; sleep 0.5; echo b"), on_line=lambda line: times.append(time.monotonic()))
    assert times[1] - times[0] > 0.3


def test_stdin_carries_what_argv_must_not() -> None:
    assert Local().run(sh("cat", stdin=b"secret")).output == "secret"


def test_chunks_are_fed_to_stdin() -> None:
    assert Local().run(sh("wc -c"), feed=(b"x" * 1000 for _ in range(1000))).output.strip() == "1000000"


def test_a_command_that_reads_nothing_does_not_hang_the_feeder() -> None:
    assert Local().run(sh("exit 0"), feed=(b"x" * 100_000 for _ in range(100)))


def test_secrets_reach_the_child_through_its_environment_alone() -> None:
    step = sh('printf %s "$TOKEN"', environment=(("TOKEN", Secret("s3cret-value")),))
    seen: list[str] = []
    assert Local(log=seen.append).run(step).output == "s3cret-value"
    assert "s3cret-value" not in "".join(seen) + repr(step) + step.text
    assert "TOKEN" not in os.environ


def test_a_program_that_is_not_there_is_a_result() -> None:
    result = Local().run(Step(("no-such-program-at-all",)))
    assert result.exit_code == NOT_FOUND
    assert "no-such-program-at-all" in result.errors


def test_a_timeout_ends_the_command_and_all_it_started(tmp_path: Path) -> None:
    result = Local().run(sh(f"(sleep 2; touch {tmp_path}/late) & sleep 30"), timeout=0.3)
    assert result.exit_code == TIMED_OUT
    assert result.seconds < 10
    time.sleep(2.2)
    assert not (tmp_path / "late").exists()


def test_a_stream_ends_with_an_error_where_the_command_does() -> None:
    assert b"".join(Local().stream(sh("printf abc"))) == b"abc"
    with pytest.raises(OSError, match="exited 4: broken"):
        list(Local().stream(sh("echo broken >&2; exit 4")))
