"""Make the connection that SSH is spoken over: a socket, or the user's ProxyCommand. Speaks nothing itself."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from contextlib import suppress

from kamal_dev.shell.way import Way

FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


def dial(way: Way) -> socket.socket:
    """Connect to the host itself, at the first of its addresses that answers. Raises OSError."""
    failure: OSError | None = None
    bind = dict(way.others).get("bindaddress", "")
    family = FAMILIES.get(way.family, socket.AF_UNSPEC)
    for kind, form, protocol, _, address in socket.getaddrinfo(way.hostname, way.port, family, socket.SOCK_STREAM):
        connection = socket.socket(kind, form, protocol)
        connection.settimeout(way.trust.connect_timeout)
        try:
            if bind:
                connection.bind((bind, 0))
            connection.connect(address)
            # Nagle costs 40 ms on each exec.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            connection.close()
            # The first address is the one that people know.
            failure = failure or error
        else:
            return connection
    raise failure or OSError(f"{way.hostname} has no address")


class ProxyCommand:
    """Run the user's ProxyCommand as ssh does, with its shell, for as long as its socket is open."""

    def __init__(self, way: Way) -> None:
        ours, theirs = socket.socketpair()
        words = (os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {way.command}")
        with theirs:
            self._process = subprocess.Popen(
                words, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=subprocess.PIPE, start_new_session=True
            )
        self._said = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        ours.settimeout(way.trust.connect_timeout)
        self.socket = _passed(ours) if way.passes_socket else ours

    @property
    def complaint(self) -> str:
        """The last thing that the command said on stderr, where it has ended."""
        self._reader.join(1)
        return (self._said.decode(errors="replace").strip().splitlines() or [""])[-1]

    def close(self) -> None:
        """End it, as ssh does: it may wait for the other side for ever."""
        self.socket.close()
        if self._process.poll() is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGHUP)

    def _read(self) -> None:
        assert self._process.stderr
        with self._process.stderr as stream, suppress(OSError):
            for line in stream:
                self._said = line if line.strip() else self._said
        self._process.wait()


def _passed(ours: socket.socket) -> socket.socket:
    """Take the connection that the command hands over, as with `ProxyUseFdpass`. Raises OSError."""
    with ours:
        _, handles, _, _ = socket.recv_fds(ours, 1, 1)
    if not handles:
        raise OSError("the ProxyCommand handed over no connection")
    return socket.socket(fileno=handles[0])
