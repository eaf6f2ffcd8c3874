"""Lend a host a port of this machine, through OpenSSH `-R`.

Paramiko's forwarder is six times slower, and Kamal's in-process one dead-locks on
large layers (kamal#1886).
"""

from __future__ import annotations

import shlex
import subprocess
import tempfile
import threading
from contextlib import suppress
from typing import IO

from kamal_dev.errors import HostError, NoAnswer
from kamal_dev.shell import OnLine, frame, openssh, pipes
from kamal_dev.shell.frame import Frame, Framed
from kamal_dev.shell.lines import Bytes
from kamal_dev.shell.way import Way

OPENING = 20.0
REFUSAL = "remote port forwarding failed"  # sshd gives no reason
# State 0A listens; the address may be that of IPv4 or IPv6. Source: proc_net_tcp.txt of the kernel.
LISTENS = "grep -qE ':{port:04X} 0*:0000 0A' /proc/net/tcp /proc/net/tcp6 2>/dev/null"


def argv(way: Way, port: int, ready: Frame) -> tuple[str, ...]:
    """Return the ssh command that forwards `port` of the host to `port` here, for as long as its stdin is open.

    It prints the beginning of `ready` once the port is open.
    """
    flags = ("-T", "-R", f"127.0.0.1:{port}:127.0.0.1:{port}")
    return openssh.argv(way, flags, ("sh", "-c", f"{ready.opening}; exec cat >/dev/null"))


class Tunnel:
    """Hold the forward open until it is closed. Raises HostError where the host's port is taken or ssh fails.

    sshd answers the forward request before it starts the command, so that its
    first word says that the port is open there (kamal#1674). The command ends with
    its stdin, so that nothing stays behind even where this process is killed.
    """

    def __init__(self, way: Way, port: int, log: OnLine) -> None:
        ready = Frame.new()
        words = argv(way, port, ready)
        log(f"$ {shlex.join(words[:-1])} …")
        with tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
            try:
                self._await(way, port, Framed(ready, Bytes(lambda _: None)), errors)
            except BaseException:
                self.close()
                raise

    @property
    def is_open(self) -> bool:
        """Whether ssh still holds it; it exits when the connection is lost."""
        return self._process.poll() is None

    def close(self) -> None:
        """End it."""
        pipes.end(self._process)

    def _await(self, way: Way, port: int, framed: Framed, errors: IO[bytes]) -> None:
        watchdog = threading.Timer(OPENING, self._process.kill)
        watchdog.start()
        try:
            assert self._process.stdout
            if not framed.begins(self._process.stdout):
                code = self._process.wait()
                errors.seek(0)
                raise _failure(way, port, code, framed.noise, errors.read())
        finally:
            watchdog.cancel()


def _failure(way: Way, port: int, code: int, noise: bytes, errors: bytes) -> HostError:
    # 255 is ssh's own; with any other code the host answered, but not by running the command.
    if 0 <= code != openssh.REFUSED:
        return NoAnswer(way.stack, frame.unanswered(code, noise, errors), hint=frame.OTHERS_ANSWER)
    last = (errors.decode(errors="replace").strip().splitlines() or [f"no output from ssh within {OPENING:.0f} s"])[-1]
    return HostError(
        way.stack,
        f"port {port} of the host could not be forwarded to the local registry: {last}",
        hint=_hint(way, port) if REFUSAL in last else "`ssh` must connect without prompts: try `dev ssh`",
    )


def _hint(way: Way, port: int) -> str:
    """Say why sshd would not listen: it says nothing itself, but the host can tell whether the port is in use."""
    words = openssh.argv(way, ("-T",), ("sh", "-c", LISTENS.format(port=port)))
    with suppress(OSError, subprocess.TimeoutExpired):
        asked = subprocess.run(
            words, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=OPENING, start_new_session=True
        )
        if asked.returncode == 1:
            return (
                "sshd there does not forward ports: see `AllowTcpForwarding`, `DisableForwarding`, `PermitListen` "
                "in its sshd_config, and the options of the key in authorized_keys"
            )
    return f"another process on the host may use port {port}; choose another one in `registry.server`"
