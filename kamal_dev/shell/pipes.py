"""Read from and write to a process that may leave background processes behind, and end it. Starts none.

A background process, such as `ssh-agent` or a server that a hook starts with `&`, keeps inherited streams open.
Therefore nothing here waits for the end of a stream after its process has ended, and nothing holds a lock that
closing a stream would wait for.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO

GRACE = 5.0
TICK = 0.1  # seconds until the end of a process is noticed, at most
ROOM = 1 << 20  # bytes that a pipe may hold
PIECE = 1 << 16


def on_terminal(start: Callable[[int], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    """Start a process with a terminal as its stdout, which can be read like a pipe."""
    reader, writer = os.openpty()
    stdout = os.fdopen(reader, "rb", buffering=0)
    try:
        process = start(writer)
    except BaseException:
        stdout.close()
        raise
    finally:
        # The stream ends once nobody can write to it.
        os.close(writer)
    process.stdout = stdout
    return process


def chunks(stream: IO[bytes], is_over: Callable[[], bool]) -> Iterator[bytes]:
    """Yield chunks until the stream ends, or until `is_over` and everything available was read."""
    descriptor = os.dup(stream.fileno())
    try:
        yield from _chunks(descriptor, is_over)
    finally:
        os.close(descriptor)


def _chunks(descriptor: int, is_over: Callable[[], bool]) -> Iterator[bytes]:
    poll, room, wait = select.poll(), ROOM, TICK
    poll.register(descriptor, select.POLLIN)
    while room > 0:
        was_over = is_over()
        is_there = poll.poll(wait * 1000)
        if was_over:
            wait = 0
        if is_there:
            data = os.read(descriptor, PIECE)
            if not data:
                return
            room -= len(data) if was_over else 0
            yield data
        elif was_over:
            return


def feed(stream: IO[bytes], data: Iterable[bytes], is_over: Callable[[], bool]) -> None:
    """Write to a process and close its stdin; stops if the process ends or closes its stdin first."""
    descriptor = os.dup(stream.fileno())
    stream.close()
    try:
        os.set_blocking(descriptor, False)
        for chunk in data:
            _write(descriptor, memoryview(chunk), is_over)
    finally:
        os.close(descriptor)


def _write(descriptor: int, rest: memoryview, is_over: Callable[[], bool]) -> None:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    while rest:
        if not poll.poll(TICK * 1000):
            if is_over():
                raise BrokenPipeError
            continue
        with suppress(BlockingIOError):
            rest = rest[os.write(descriptor, rest) :]


class Worker(threading.Thread):
    """Read or write in the background; an error of the pipe ends the thread."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.start()

    def run(self) -> None:
        """Run the thread."""
        # The process may end before everything was read or written; its exit code says why.
        with suppress(OSError, ValueError):
            self._work()


def stop(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """Stop a process and everything in its session: gently first, at once if Ctrl-C is pressed again."""
    try:
        _signal(process, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    finally:
        _signal(process, signal.SIGKILL)
        process.wait()


def end(process: subprocess.Popen[bytes], grace: float = GRACE) -> None:
    """Stop it, and close its streams."""
    try:
        stop(process, grace)
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            with suppress(OSError, ValueError):
                if stream:
                    stream.close()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
