"""Run steps as processes on this machine. Quotes nothing: argv goes to the system as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from kamal_dev.model import Result, Secret, Step
from kamal_dev.shell import OnLine
from kamal_dev.shell.fanout import TICK
from kamal_dev.shell.lines import Lines

NOT_FOUND = 127
TIMED_OUT = 124
GRACE = 5.0


class Local:
    """Run steps here; `log` is told each step's text before it runs."""

    def __init__(self, log: OnLine | None = None, environment: dict[str, str] | None = None) -> None:
        self._log = log
        self._environment = dict(os.environ if environment is None else environment)

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Run `step`; a program that is not installed ends with exit code 127, a timeout with 124."""
        started = time.monotonic()
        try:
            with self._process(step) as process:
                output, errors = _converse(process, on_line, feed or _once(step.stdin), timeout)
                code = process.returncode
        except FileNotFoundError as error:
            code, output, errors = NOT_FOUND, "", f"{step.argv[0]}: {error.strerror}"
        return Result(step, code, output, errors, time.monotonic() - started)

    def stream(self, step: Step) -> Iterator[bytes]:
        """Yield the step's stdout in chunks, after its (short) stdin; raises OSError where it ends with an error."""
        with self._process(step) as process:
            assert process.stdin and process.stdout and process.stderr
            with process.stdin as stdin:
                stdin.write(step.stdin or b"")
            while chunk := process.stdout.read(1 << 20):
                yield chunk
            errors = process.stderr.read().decode(errors="replace")
            if process.wait() != 0:
                raise OSError(f"`{step.text}` exited {process.returncode}: {errors.strip()}")

    @contextmanager
    def _process(self, step: Step) -> Iterator[subprocess.Popen[bytes]]:
        if self._log:
            self._log(f"$ {step.text}")
        # A session of its own, so that an interrupt reaches the children through us and in order.
        process = subprocess.Popen(
            step.argv,
            cwd=step.cwd,
            env=_environment(self._environment, step),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            _end(process)


def _environment(own: dict[str, str], step: Step) -> dict[str, str]:
    """Return the variables of a process: its own, with what the step says of them; the last word counts."""
    said = dict(step.environment)
    kept = {name: value for name, value in own.items() if name not in said}
    return kept | {name: _plain(value) for name, value in said.items() if value is not None}


def _plain(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _once(data: bytes | None) -> Iterable[bytes]:
    return (data,) if data else ()


def _converse(
    process: subprocess.Popen[bytes], on_line: OnLine | None, feed: Iterable[bytes], timeout: float | None
) -> tuple[str, str]:
    """Feed stdin and drain both streams until the process ends or its time is over."""
    assert process.stdin and process.stdout and process.stderr
    out, err = Lines(on_line), Lines(on_line)
    workers = [
        threading.Thread(target=_write, args=(process.stdin, feed), daemon=True),
        threading.Thread(target=_drain, args=(process.stdout, out), daemon=True),
        threading.Thread(target=_drain, args=(process.stderr, err), daemon=True),
    ]
    for worker in workers:
        worker.start()
    try:
        _await(process, timeout)
    except subprocess.TimeoutExpired:
        _end(process)
        process.returncode = TIMED_OUT
    # A thread that is still there when Python ends can take the process down with it.
    for worker in workers:
        worker.join(GRACE)
    return out.end(), err.end()


def _await(process: subprocess.Popen[bytes], timeout: float | None) -> None:
    """Wait for the end. Raises TimeoutExpired.

    Not by waiting for the process itself: a signal that comes a moment before that begins wakes nobody.
    """
    waiter = threading.Thread(target=process.wait, daemon=True)
    waiter.start()
    deadline = None if timeout is None else time.monotonic() + timeout
    while waiter.is_alive():
        left = TICK if deadline is None else deadline - time.monotonic()
        if left <= 0:
            raise subprocess.TimeoutExpired(process.args, timeout or 0)
        waiter.join(min(left, TICK))


def _write(stream: object, feed: Iterable[bytes]) -> None:
    # The other side may end before it has read everything: its exit code tells.
    with suppress(OSError, ValueError):
        for chunk in feed:
            stream.write(chunk)  # type: ignore[attr-defined]
            stream.flush()  # type: ignore[attr-defined]
    with suppress(OSError, ValueError):
        stream.close()  # type: ignore[attr-defined]


def _drain(stream: object, lines: Lines) -> None:
    with suppress(OSError, ValueError):
        while data := stream.read1(1 << 16):  # type: ignore[attr-defined]
            lines.feed(data)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop the process and all it started, gently first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    for stream in (process.stdin, process.stdout, process.stderr):
        with suppress(OSError, ValueError):
            if stream:
                stream.close()
