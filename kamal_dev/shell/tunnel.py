"""Lend a host a port of this machine, through OpenSSH `-R`.

Paramiko's forwarder is six times slower, and Kamal's in-process one dead-locks on
large layers (kamal#1886).
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kamal_dev.errors import HostError, NoAnswer
from kamal_dev.model import Host
from kamal_dev.shell import OnLine, frame, openssh
from kamal_dev.shell.frame import Frame, Framed
from kamal_dev.shell.lines import Bytes
from kamal_dev.shell.trust import Trust

OPENING = 20.0


def argv(host: Host, trust: Trust, port: int, ready: Frame) -> tuple[str, ...]:
    """Return the ssh command that forwards `port` of the host to `port` here, for as long as its stdin is open.

    It prints the beginning of `ready` once the port is open.
    """
    flags = ("-T", "-R", f"127.0.0.1:{port}:127.0.0.1:{port}")
    return openssh.argv(host, trust, flags, ("sh", "-c", f"{ready.opening}; exec cat >/dev/null"))


@contextmanager
def tunnel(host: Host, trust: Trust, port: int, log: OnLine) -> Iterator[None]:
    """Hold the forward open. Raises HostError where the host's port is taken or ssh fails.

    sshd answers the forward request before it starts the command, so that its
    first word says that the port is open there (kamal#1674). The command ends with
    its stdin, so that nothing stays behind even where this process is killed.
    """
    ready = Frame.new()
    words = argv(host, trust, port, ready)
    log(f"$ {shlex.join(words[:-1])} …")
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        ) as process,
    ):
        watchdog = threading.Timer(OPENING, process.kill)
        watchdog.start()
        try:
            assert process.stdout
            framed = Framed(ready, Bytes(lambda _: None))
            if not framed.begins(process.stdout):
                code = process.wait()
                errors.seek(0)
                raise _failure(host, port, code, framed.noise, errors.read())
            watchdog.cancel()
            yield
        finally:
            watchdog.cancel()
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)


def _failure(host: Host, port: int, code: int, noise: bytes, errors: bytes) -> HostError:
    # 255 is ssh's own; with any other code the host answered, but not by running the command.
    if 0 <= code != openssh.REFUSED:
        return NoAnswer(host.name, frame.unanswered(code, noise, errors), hint=frame.OTHERS_ANSWER)
    last = (errors.decode(errors="replace").strip().splitlines() or [f"ssh said nothing within {OPENING:.0f} s"])[-1]
    return HostError(
        host.name,
        f"port {port} of the host could not be forwarded to the registry here: {last}",
        hint=f"something on the host may use port {port}; choose another one in `registry.server`",
    )
