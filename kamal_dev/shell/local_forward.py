"""Hold one ssh that forwards local ports. The caller decides which ports, and when to retry."""

from __future__ import annotations

import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial

from kamal_dev.errors import NoAnswer
from kamal_dev.shell import OnLine, frame, openssh, pipes
from kamal_dev.shell.frame import Frame, Framed
from kamal_dev.shell.lines import Lines
from kamal_dev.shell.pipes import GRACE

READY = "ready"
OPENING = 60.0
# ssh stays as long as a forwarded connection is open, even without its parent, so it is tied to stdin.
_WITH_STDIN = """exec 3<&0
(cat <&3; kill $$) >/dev/null 2>&1 &
exec "$@" <&3 3<&-
"""


def is_free(port: int) -> bool:
    """Return whether this process may listen on a port of 127.0.0.1 and nobody else does."""
    with closing(socket.socket()) as probe:
        # Like ssh: closing connections of an earlier run do not block a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def hold(
    host: str,
    words: tuple[str, ...],
    mark: Frame,
    *,
    on_ready: Callable[[], None],
    on_line: OnLine,
    log: OnLine,
) -> str:
    """Run ssh until it ends; `on_ready` is called when the host is ready, `on_line` with ssh's error messages.

    The output of the command is in the frame of `mark`; returns it. Raises NoAnswer if `host` did not run the
    command. ssh ends with this process, in any case; the command on the host runs only while its stdin is open.
    """
    log(f"$ {shlex.join(words[:-1])} …")
    process = subprocess.Popen(
        ("/bin/sh", "-c", _WITH_STDIN, "kamal-dev", *words),
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    watchdog = threading.Timer(OPENING, process.kill)
    framed = Framed(mark, Lines(partial(_hear, watchdog, on_ready)))
    listener = pipes.Worker(lambda: _pass_on(process, mark, on_line))
    try:
        watchdog.start()
        assert process.stdout
        framed.reads(process.stdout)
        _require(host, process, framed)
    finally:
        watchdog.cancel()
        _end(process)
        listener.join(GRACE)
    return framed.end()


def _hear(watchdog: threading.Timer, on_ready: Callable[[], None], line: str) -> None:
    if line.strip() == READY:
        watchdog.cancel()
        on_ready()


def _require(host: str, process: subprocess.Popen[bytes], framed: Framed) -> None:
    """Raise NoAnswer if ssh reached the host, but something else answered."""
    if not framed.has_begun and (code := process.wait(OPENING)) not in (openssh.REFUSED, -signal.SIGKILL):
        raise NoAnswer(host, frame.unanswered(code, framed.noise), hint=frame.OTHERS_ANSWER)


def _pass_on(process: subprocess.Popen[bytes], mark: Frame, on_line: OnLine) -> None:
    assert process.stderr
    lines = Lines(lambda line: on_line(mark.errors.without(line).strip()))
    for data in pipes.chunks(process.stderr, lambda: process.poll() is not None):
        lines.feed(data)
    lines.end()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the command on the host end first: it ends with its stdin."""
    assert process.stdin
    try:
        process.stdin.close()
    finally:
        pipes.end(process)
