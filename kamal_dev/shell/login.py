"""Log in to a host with an ssh that then goes on in the background. Opens no session."""

from __future__ import annotations

import os
import random
import select
import shlex
import subprocess
import time
from collections.abc import Callable

from kamal_dev.errors import HostUnreachable
from kamal_dev.shell import OnLine, failures, openssh, pipes
from kamal_dev.shell.control_folder import ControlFolder
from kamal_dev.shell.way import Way

ATTEMPTS = 4
HASTY = 3.0  # seconds; sshd rejects a connection at once, a later failure has another cause
TICK = 0.1  # seconds until the end of the run is noticed
LONGEST = 60.0  # seconds for a login that may ask the user: an agent, or a ProxyCommand
END = 0.5


def log_in(way: Way, folder: ControlFolder, is_wanted: Callable[[], bool], log: OnLine) -> None:
    """Log in; afterwards, ssh accepts sessions on the socket in `folder`. Raises HostUnreachable, HostKeyChanged."""
    for number in range(1, ATTEMPTS + 1):
        started = time.monotonic()
        try:
            return _attempt(way, folder, is_wanted, log)
        except failures.ConnectionDropped as dropped:
            if number == ATTEMPTS or time.monotonic() - started > min(HASTY, way.trust.connect_timeout / 2):
                raise dropped.error from None
            # Above MaxStartups, sshd drops connections at random: retry, and not all at the same moment.
            time.sleep(random.uniform(0.2, 0.6) * 2**number)  # noqa: S311
    raise AssertionError("unreachable")


def _attempt(way: Way, folder: ControlFolder, is_wanted: Callable[[], bool], log: OnLine) -> None:
    words = openssh.master(way, folder.socket, folder.log)
    try:
        folder.clear()
        process = _started(words, folder)
    except OSError as error:
        raise HostUnreachable(way.stack, f"`ssh` could not be started: {error}") from error
    try:
        log(f"$ {shlex.join(words)}")
        _await(process, way, is_wanted)
        if process.wait() != 0:
            raise failures.found(way, folder.log)
    finally:
        pipes.end(process, END)


def _started(words: tuple[str, ...], folder: ControlFolder) -> subprocess.Popen[bytes]:
    with failures.stderr_of(folder.log).open("wb") as errors:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=os.environ | {"LC_ALL": "C"},
            start_new_session=True,
        )


def _await(process: subprocess.Popen[bytes], way: Way, is_wanted: Callable[[], bool]) -> None:
    """Wait until ssh has failed, or has left its stdout and gone on in the background."""
    assert process.stdout
    deadline = time.monotonic() + (wait := openssh.patience(way) + LONGEST)
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    while not poll.poll(TICK * 1000) and process.poll() is None:
        if not is_wanted():
            raise HostUnreachable(way.stack, "this run has ended")
        if time.monotonic() > deadline:
            raise failures.endless(way, wait)
