"""Lend a host a port of this machine, through OpenSSH `-R`.

Paramiko's forwarder is six times slower, and Kamal's in-process one dead-locks on
large layers (kamal#1886).
"""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kamal_dev.errors import HostError
from kamal_dev.model import Host
from kamal_dev.shell import OnLine, openssh
from kamal_dev.shell.trust import Trust

READY = "ready"
OPENING = 20.0


def argv(host: Host, trust: Trust, port: int) -> tuple[str, ...]:
    """Return the ssh command that forwards `port` of the host to `port` here, for as long as its stdin is open."""
    flags = ("-T", "-R", f"127.0.0.1:{port}:127.0.0.1:{port}")
    return openssh.argv(host, trust, flags, ("sh", "-c", f"echo {READY}; exec cat >/dev/null"))


@contextmanager
def tunnel(host: Host, trust: Trust, port: int, log: OnLine) -> Iterator[None]:
    """Hold the forward open. Raises HostError where the host's port is taken or ssh fails.

    sshd answers the forward request before it starts the command, so the word
    `ready` says that the port is open there (kamal#1674). The command ends with
    its stdin, so that nothing stays behind even where this process is killed.
    """
    words = argv(host, trust, port)
    log(f"$ {shlex.join(words)}")
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        watchdog = threading.Timer(OPENING, process.kill)
        watchdog.start()
        try:
            assert process.stdout and process.stderr and process.stdin
            if process.stdout.readline().strip() != READY.encode():
                raise _failure(host, port, process.stderr.read().decode(errors="replace"))
            watchdog.cancel()
            yield
        finally:
            watchdog.cancel()
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)


def _failure(host: Host, port: int, errors: str) -> HostError:
    last = (errors.strip().splitlines() or ["ssh said nothing"])[-1]
    return HostError(
        host.name,
        f"port {port} of the host could not be forwarded to the registry here: {last}",
        hint=f"something on the host may use port {port}; choose another one in `registry.server`",
    )
