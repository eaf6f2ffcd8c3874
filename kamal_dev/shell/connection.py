"""Keep one ssh connected to a host; sessions are opened through its control socket. Runs no step."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from kamal_dev.errors import HostUnreachable
from kamal_dev.shell import OnLine, failures, known_hosts, openssh, pipes
from kamal_dev.shell.channel import Channel
from kamal_dev.shell.multiplex import MuxClient
from kamal_dev.shell.way import Way

ATTEMPTS = 4
HASTY = 3.0  # seconds; sshd rejects a connection at once, a later failure has another cause
TICK = 0.005
LOGIN = 60.0  # seconds for a login that may ask the user: an agent, or a ProxyCommand
END = 0.5
ROOM = 60  # bytes for the folder's name; macOS allows 104 for a socket, and ssh adds 17 while creating it
# The folder and ssh end with stdin from this process, so they do not outlive it even if it is killed.
_HELD = """exec 3<&0
(read -r _; kill $$; rm -rf "$0") <&3 >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"""


class Connection:
    """Hold an ssh process that has logged in to a host, or is trying to."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self._patience = way.trust.connect_timeout
        self._folder = Path(tempfile.mkdtemp(prefix="dev-", dir=_place()))
        self._socket = self._folder / "s"
        self._log = self._folder / "log"
        self._channels: set[Channel] = set()
        self._has_forward = False
        try:
            self._process = self._started()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    @property
    def words(self) -> tuple[str, ...]:
        """The ssh command."""
        return openssh.master(self.way, self._socket, self._log)

    @property
    def is_open(self) -> bool:
        """Whether it is open, as far as can be told without asking the host."""
        return self._process.poll() is None

    @property
    def log_size(self) -> int:
        """The size of ssh's log, to be passed to `complaint`."""
        with suppress(OSError):
            return self._log.stat().st_size
        return 0

    def complaint(self, since: int) -> str:
        """Return the last error of ssh since its log had this size: older ones are about something else."""
        return failures.complaint(self._log, since)

    def is_used(self, *, apart_from: Channel | None = None) -> bool:
        """Return whether a forward or another session needs this connection."""
        return self._has_forward or any(not each.is_closed and each is not apart_from for each in tuple(self._channels))

    def await_login(self, is_wanted: Callable[[], bool]) -> None:
        """Wait until sessions can be opened. Raises HostUnreachable or HostKeyChanged for the hop that failed."""
        started = time.monotonic()
        wait = openssh.patience(self.way) + LOGIN
        while not self._socket.exists():
            if not is_wanted():
                raise HostUnreachable(self.way.stack, "this run has ended")
            if not self.is_open:
                raise failures.found(self.way, self._log)
            if time.monotonic() - started > wait:
                raise failures.endless(self.way, wait)
            time.sleep(TICK)

    def session(self, command: str) -> Channel:
        """Run a command. Raises MuxRefused, and OSError or EOFError if the host received nothing."""
        channel = Channel(self._client(), command, give_up=self.close, is_shared=self.is_used)
        self._channels.difference_update([each for each in tuple(self._channels) if each.is_closed])
        self._channels.add(channel)
        return channel

    def open_forward(self, port: int) -> None:
        """Forward a port of the host to the same port here. Raises MuxRefused, OSError, EOFError."""
        with closing(self._client()) as client:
            client.open_forward(port)
            self._has_forward = True

    def ends_within(self, seconds: float) -> bool:
        """Return whether it has ended, or ends within this time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.is_open

    def close(self) -> None:
        """Close it now; nothing is sent afterwards."""
        # If ssh has ended by itself, the process waiting for the end of its stdin still has the same process group.
        if self._process.stdin and not self._process.stdin.closed:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGTERM)
        # On a link that accepts no more bytes, ssh would wait forever while closing.
        pipes.end(self._process, END)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _client(self) -> MuxClient:
        return MuxClient(self._socket, self._patience)

    def _started(self) -> subprocess.Popen[bytes]:
        with failures.stderr_of(self._log).open("wb") as errors:
            return subprocess.Popen(
                ("/bin/sh", "-c", _HELD, str(self._folder), *self.words),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=os.environ | {"LC_ALL": "C"},
                start_new_session=True,
            )


def connect(way: Way, is_wanted: Callable[[], bool], log: OnLine) -> Connection:
    """Return an open connection. Raises HostUnreachable, HostKeyChanged."""
    if way.vouched:
        known_hosts.pin(way.trust.known_hosts, way.known_as, way.vouched)
    for number in range(1, ATTEMPTS + 1):
        started = time.monotonic()
        try:
            return _opened(way, is_wanted, log)
        except failures.ConnectionDropped as dropped:
            if number == ATTEMPTS or time.monotonic() - started > min(HASTY, way.trust.connect_timeout / 2):
                raise dropped.error from None
            # Above MaxStartups, sshd drops connections at random: retry, and not all at the same moment.
            time.sleep(random.uniform(0.2, 0.6) * 2**number)  # noqa: S311
    raise AssertionError("unreachable")


def _opened(way: Way, is_wanted: Callable[[], bool], log: OnLine) -> Connection:
    try:
        connection = Connection(way)
    except OSError as error:
        raise HostUnreachable(way.stack, f"`ssh` could not be started: {error}") from error
    try:
        log(f"$ {shlex.join(connection.words)}")
        connection.await_login(is_wanted)
    except BaseException:
        connection.close()
        raise
    return connection


def _place() -> str:
    """Return a folder with a name short enough for the socket."""
    own = tempfile.gettempdir()
    return own if len(os.fsencode(own)) < ROOM else "/tmp"  # noqa: S108 # what mkdtemp makes is ours alone
