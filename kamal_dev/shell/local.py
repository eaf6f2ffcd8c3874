"""Run steps as processes on this machine. Nothing is quoted: argv is passed to the system unchanged."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from kamal_dev.model import Result, Secret, Step
from kamal_dev.shell import OnLine, pipes
from kamal_dev.shell.fanout import TICK
from kamal_dev.shell.lines import Lines, TerminalLines
from kamal_dev.shell.pipes import GRACE

NOT_FOUND = 127
CANNOT_RUN = 126
TIMED_OUT = 124


class Local:
    """Run steps here; `log` gets each step's text before it runs."""

    def __init__(self, log: OnLine | None = None, environment: dict[str, str] | None = None) -> None:
        self._log = log
        self._environment = dict(os.environ if environment is None else environment)
        self._lock = threading.Lock()
        self._running: dict[subprocess.Popen[bytes], str] = {}
        self._is_closed = False

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Run `step`; a timeout ends with exit code 124, a program that is not installed with 127.

        A program that may not be run, or not in its folder, ends with 126. Background processes that it leaves are
        not stopped.
        """
        started = time.monotonic()
        with ExitStack() as stack:
            try:
                process = stack.enter_context(self._process(step))
            except OSError as error:
                return Result(step, *_unstarted(step, error), time.monotonic() - started)
            lines = (TerminalLines if step.on_terminal else Lines)(on_line)
            output, errors = _converse(process, lines, Lines(on_line), feed or _once(step.stdin), timeout)
            code = process.returncode
        return Result(step, code, output, errors, time.monotonic() - started)

    def stream(self, step: Step) -> Iterator[bytes]:
        """Yield the step's stdout in chunks, after writing its stdin; raises OSError if it fails."""
        with self._process(step) as process:
            errors = Lines()
            workers = _beside(process, _once(step.stdin), errors)
            assert process.stdout
            yield from pipes.chunks(process.stdout, lambda: process.poll() is not None)
            code = process.wait()
            for worker in workers:
                worker.join(GRACE)
            if code != 0:
                raise OSError(f"`{step.text}` exited {code}: {errors.end().strip()}")

    def close(self) -> None:
        """Stop the processes of other threads, and start no new ones: nothing would stop them after us."""
        with self._lock:
            self._is_closed = True
        self.interrupt()

    def interrupt(self, thread: str = "") -> None:
        """Stop what other threads are running here; each gets the exit code of a stopped process.

        With `thread`, only what threads of this name are running.
        """
        with self._lock:
            running = [process for process, name in self._running.items() if thread in ("", name)]
        enders = [threading.Thread(target=pipes.stop, args=(process,), daemon=True) for process in running]
        for ender in enders:
            ender.start()
        for ender in enders:
            ender.join(2 * GRACE)

    @contextmanager
    def _process(self, step: Step) -> Iterator[subprocess.Popen[bytes]]:
        if self._log:
            self._log(f"$ {step.text}")
        # A session of its own, so that an interrupt reaches the child processes through this process and in order.
        with self._lock:
            if self._is_closed:
                raise InterruptedError(errno.EINTR, "this run is over", step.argv[0])
            process = self._started(step)
            self._running[process] = threading.current_thread().name
        try:
            yield process
        finally:
            pipes.end(process)
            self._running.pop(process, None)

    def _started(self, step: Step) -> subprocess.Popen[bytes]:
        def start(stdout: int) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                step.argv,
                bufsize=0,
                cwd=step.cwd,
                env=_environment(self._environment, step),
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )

        return pipes.on_terminal(start) if step.on_terminal else start(subprocess.PIPE)


def _environment(own: dict[str, str], step: Step) -> dict[str, str]:
    """Return the environment of a process: `own` with the changes of the step; the last value counts."""
    wanted = dict(step.environment)
    kept = {name: value for name, value in own.items() if name not in wanted}
    return kept | {name: _plain(value) for name, value in wanted.items() if value is not None}


def _plain(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _once(data: bytes | None) -> Iterable[bytes]:
    return (data,) if data else ()


def _unstarted(step: Step, error: OSError) -> tuple[int, str, str]:
    """Return what is to blame: the program, or the folder to run it in."""
    is_folder = step.cwd is not None and str(error.filename) == str(step.cwd)
    code = NOT_FOUND if isinstance(error, FileNotFoundError) and not is_folder else CANNOT_RUN
    return code, "", f"{step.cwd if is_folder else step.argv[0]}: {error.strerror}"


def _beside(process: subprocess.Popen[bytes], feed: Iterable[bytes], errors: Lines) -> tuple[pipes.Worker, ...]:
    """Feed stdin and drain stderr in the background: a full pipe would block the process."""
    assert process.stdin and process.stderr
    stdin, stderr = process.stdin, process.stderr
    return (
        pipes.Worker(lambda: pipes.feed(stdin, feed, lambda: process.poll() is not None)),
        pipes.Worker(lambda: _drain(process, stderr, errors)),
    )


def _converse(
    process: subprocess.Popen[bytes], out: Lines, err: Lines, feed: Iterable[bytes], timeout: float | None
) -> tuple[str, str]:
    """Feed stdin and drain both streams until the process ends or times out."""
    stdout = process.stdout
    assert stdout
    workers = (*_beside(process, feed, err), pipes.Worker(lambda: _drain(process, stdout, out)))
    try:
        _await(process, timeout)
    except subprocess.TimeoutExpired:
        pipes.stop(process)
        process.returncode = TIMED_OUT
    # A thread that is still running when Python exits can crash the process.
    for worker in workers:
        worker.join(GRACE)
    return out.end(), err.end()


def _drain(process: subprocess.Popen[bytes], stream: IO[bytes], lines: Lines) -> None:
    for data in pipes.chunks(stream, lambda: process.poll() is not None):
        lines.feed(data)


def _await(process: subprocess.Popen[bytes], timeout: float | None) -> None:
    """Wait for the end. Raises TimeoutExpired.

    Does not wait for the process itself: a signal that arrives just before that wait would not end it.
    """
    waiter = threading.Thread(target=process.wait, daemon=True)
    waiter.start()
    deadline = None if timeout is None else time.monotonic() + timeout
    while waiter.is_alive():
        seconds = TICK if deadline is None else deadline - time.monotonic()
        if seconds <= 0:
            raise subprocess.TimeoutExpired(process.args, timeout or 0)
        waiter.join(min(seconds, TICK))
