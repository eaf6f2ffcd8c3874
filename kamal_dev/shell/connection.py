"""Keep one ssh open to a host, with a control socket on which sessions are opened. Runs no step."""

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
HASTY = 3.0  # seconds; sshd turns a connection away at once, or it is not sshd's doing
TICK = 0.005
LOGIN = 60.0  # seconds for what may ask its owner: an agent, or a ProxyCommand
END = 0.5
ROOM = 60  # bytes of a folder's name; macOS has 104 for a socket, of which ssh takes 17 while it makes it
# The folder and ssh end with the stdin of this process, and so with us, even where we are killed.
_HELD = """exec 3<&0
(read -r _; kill $$; rm -rf "$0") <&3 >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"""


class Connection:
    """Hold an ssh process that has logged in on a host, or tries to."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self._patience = way.trust.connect_timeout
        self._folder = Path(tempfile.mkdtemp(prefix="dev-", dir=_place()))
        self._socket = self._folder / "s"
        self._log = self._folder / "log"
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
        """Whether it is, as far as can be told without asking the host."""
        return self._process.poll() is None

    @property
    def complaint(self) -> str:
        """What ssh complained of last."""
        return failures.complaint(self._log)

    def await_login(self, is_wanted: Callable[[], bool]) -> None:
        """Return once sessions may be opened. Raises HostUnreachable, HostKeyChanged, about the hop that it was."""
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
        """Run a command. Raises MuxRefused, and OSError or EOFError where the host has got nothing of it."""
        return Channel(self._client(), command, self.close)

    def open_forward(self, port: int) -> None:
        """Let a port of the host lead to the same port here. Raises MuxRefused, OSError, EOFError."""
        with closing(self._client()) as client:
            client.open_forward(port)

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended, or does so in this time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return not self.is_open

    def close(self) -> None:
        """End it now: nothing is sent after that."""
        # Where ssh has ended by itself, what waits for the end of its stdin has not, and leads its number still.
        if self._process.stdin and not self._process.stdin.closed:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGTERM)
        # ssh waits for ever to say goodbye on a link that stopped taking bytes.
        pipes.end(self._process, END)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _client(self) -> MuxClient:
        return MuxClient(self._socket, self._patience)

    def _started(self) -> subprocess.Popen[bytes]:
        with failures.stderr_of(self._log).open("wb") as errors:
            return subprocess.Popen(
                ("sh", "-c", _HELD, str(self._folder), *self.words),
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
            # sshd drops connections at random above MaxStartups: try again, not all at the same moment.
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
    """Return a folder whose name leaves room for the socket's."""
    own = tempfile.gettempdir()
    return own if len(os.fsencode(own)) < ROOM else "/tmp"  # noqa: S108 # what mkdtemp makes is ours alone
