from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from kamal_dev.model import Secret, Step
from kamal_dev.shell.fanout import Background
from kamal_dev.shell.local import CANNOT_RUN, NOT_FOUND, TIMED_OUT, Local


def sh(script: str, **more: object) -> Step:
    return Step(("sh", "-c", script), **more)  # type: ignore[arg-type]


def has_ended(pid: Path) -> bool:
    """Whether the process has ended whose number is in a file."""
    state = Path(f"/proc/{pid.read_text().strip()}/stat")
    return not state.exists() or ") Z " in state.read_text()


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
    pid = tmp_path / "pid"
    result = Local().run(sh(f"sleep 1000 & echo $! >{pid}; wait"), timeout=0.5)
    assert result.exit_code == TIMED_OUT
    assert result.seconds < 10
    assert has_ended(pid)


def test_a_stream_ends_with_an_error_where_the_command_does() -> None:
    assert b"".join(Local().stream(sh("printf abc"))) == b"abc"
    with pytest.raises(OSError, match="exited 4: broken"):
        list(Local().stream(sh("echo broken >&2; exit 4")))


@pytest.mark.parametrize("child", ["sleep 30", "while :; do echo again; sleep 0.05; done", "yes"])
def test_a_child_that_is_left_behind_keeps_its_streams_and_holds_nobody_up(child: str) -> None:
    started = time.monotonic()
    result = Local().run(sh(f"echo mine; ({child}) & echo $!; echo done >&2"), timeout=20)
    try:
        assert time.monotonic() - started < 5
        assert result.exit_code == 0
        assert result.output.split()[0] == "mine"
        assert result.errors == "done"
    finally:
        os.kill(int(next(word for word in result.output.split() if word.isdecimal())), signal.SIGKILL)


def test_a_timeout_holds_where_a_child_has_a_session_of_its_own() -> None:
    started = time.monotonic()
    result = Local().run(sh("setsid sh -c 'echo $$; exec sleep 30' & sleep 30"), timeout=1)
    assert result.exit_code == TIMED_OUT
    assert time.monotonic() - started < 8
    os.kill(int(result.output), signal.SIGKILL)


def test_all_that_was_printed_arrives_also_where_nobody_reads_for_a_while() -> None:
    slow = sh("head -c 300000 /dev/zero; echo end")
    pieces = []
    for piece in Local().stream(slow):
        pieces.append(piece)
        time.sleep(0.1)
    assert b"".join(pieces) == bytes(300000) + b"end\n"


def test_a_stream_goes_on_while_much_is_said_on_stderr() -> None:
    step = sh("head -c 400000 /dev/zero | tr '\\0' e >&2; cat", stdin=b"x" * 300_000)
    assert b"".join(Local().stream(step)) == b"x" * 300_000


def test_a_child_that_holds_stdin_stops_no_feeder() -> None:
    started = time.monotonic()
    result = Local().run(sh("exec 3<&0; sleep 30 <&3 & echo $!"), feed=(b"x" * 100_000 for _ in range(100)))
    assert time.monotonic() - started < 5
    os.kill(int(result.output), signal.SIGKILL)


def test_the_folder_or_the_file_that_is_to_blame_is_named(tmp_path: Path) -> None:
    result = Local().run(Step(("true",), cwd=tmp_path / "gone"))
    assert (result.exit_code, result.errors) == (CANNOT_RUN, f"{tmp_path / 'gone'}: No such file or directory")
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    result = Local().run(Step((str(script),)))
    assert (result.exit_code, result.errors) == (CANNOT_RUN, f"{script}: Permission denied")


def test_a_run_that_ends_leaves_no_process_of_another_thread_behind(tmp_path: Path) -> None:
    local, pid = Local(), tmp_path / "pid"
    script = f"sleep 1000 & echo $! >{pid}.new && mv {pid}.new {pid}; wait"
    ended = Background(lambda: local.run(Step(("sh", "-c", script))))
    while not pid.exists():
        time.sleep(0.01)
    local.close()
    assert not ended.result()
    assert has_ended(pid)
    assert local.run(Step(("true",))).exit_code == CANNOT_RUN


def test_what_other_threads_run_can_be_ended_and_more_be_started(tmp_path: Path) -> None:
    local, mark = Local(), tmp_path / "mark"
    ended = Background(lambda: local.run(sh(f"touch {mark}; sleep 1000")))
    while not mark.exists():
        time.sleep(0.01)
    local.interrupt()
    assert not ended.result()
    assert local.run(Step(("true",)))


def test_what_threads_of_one_name_run_can_be_ended_alone(tmp_path: Path) -> None:
    local, mark, go = Local(), tmp_path / "mark", tmp_path / "go"
    other = Background(lambda: local.run(sh(f"until [ -f {go} ]; do sleep 0.05; done; echo hook")), "hooks")
    build = Background(lambda: local.run(sh(f"touch {mark}; sleep 1000")), "images")
    while not mark.exists():
        time.sleep(0.01)
    local.interrupt("images")
    go.touch()
    assert not build.result()
    assert other.result().output == "hook"


def test_a_step_can_have_a_terminal_for_its_output_and_nothing_else() -> None:
    descriptors = len([*Path("/proc/self/fd").iterdir()])
    script = "for n in 0 1 2; do [ -t $n ] && echo $n; done; printf 'a\\rb\\n'; echo err >&2; exit 3"
    result = Local().run(sh(script, on_terminal=True))
    assert (result.exit_code, result.output, result.errors) == (3, "1\na\nb", "err")
    assert Local().run(Step(("no-such-program",), on_terminal=True)).exit_code == NOT_FOUND
    assert len([*Path("/proc/self/fd").iterdir()]) == descriptors
