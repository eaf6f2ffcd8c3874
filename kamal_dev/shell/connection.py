"""Hold an ssh that is connected to a host; sessions are opened through its control socket. Runs no step."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from kamal_dev.errors import HostUnreachable
from kamal_dev.shell import OnLine, failures, known_hosts, openssh
from kamal_dev.shell.channel import Channel
from kamal_dev.shell.control_folder import ControlFolder
from kamal_dev.shell.login import log_in
from kamal_dev.shell.multiplex import MuxClient, MuxRefused
from kamal_dev.shell.way import Way

UNPROVEN = 3.0  # seconds for the first session on a connection of an earlier run; a new login takes less
END = 0.5
# If this process is killed, ssh would keep forwards, and would itself stay as long as a command runs on the host.
_WATCHED = 'read -r _ || kill "$1"'


class Connection:
    """Hold a connection that this run or an earlier one has opened. ssh does not end before `release` or `close`."""

    def __init__(self, way: Way, folder: ControlFolder, *, is_reused: bool = False) -> None:
        """Connect to the control socket. Raises OSError or EOFError if no ssh answers."""
        self.way = way
        self.is_reused = is_reused
        self._folder = folder
        self._patience = min(way.trust.connect_timeout, UNPROVEN) if is_reused else way.trust.connect_timeout
        self._is_kept = way.trust.control_persist > 0
        self._channels: set[Channel] = set()
        self._forwards: set[int] = set()
        # As long as it has a client, ssh does not end by itself.
        self._client = MuxClient(folder.socket, self._patience)
        try:
            self._pid = self._client.pid()
            self._watch = _watch(self._pid)
        except BaseException:
            self._client.close()
            raise

    @property
    def is_open(self) -> bool:
        """Whether it is open, as far as can be told without asking the host."""
        return not self._client.has_ended()

    @property
    def log_size(self) -> int:
        """The size of ssh's log, to be passed to `complaint`."""
        with suppress(OSError):
            return self._folder.log.stat().st_size
        return 0

    def complaint(self, since: int) -> str:
        """Return the last error of ssh since its log had this size: older ones are about something else."""
        return failures.complaint(self._folder.log, since)

    def is_used(self, *, apart_from: Channel | None = None) -> bool:
        """Return whether a forward or another session needs this connection."""
        return bool(self._forwards) or any(
            not each.is_closed and each is not apart_from for each in tuple(self._channels)
        )

    def session(self, command: str) -> Channel:
        """Run a command. Raises MuxRefused, and OSError or EOFError if the host received nothing."""
        client = MuxClient(self._folder.socket, self._patience)
        channel = Channel(client, command, give_up=self.close, is_shared=self.is_used)
        self._patience = self.way.trust.connect_timeout
        self._channels.difference_update([each for each in tuple(self._channels) if each.is_closed])
        self._channels.add(channel)
        return channel

    def open_forward(self, port: int) -> None:
        """Forward a port of the host to the same port here. Raises MuxRefused, OSError, EOFError."""
        with closing(MuxClient(self._folder.socket, self._patience)) as client:
            client.open_forward(port)
            self._forwards.add(port)

    def ends_within(self, seconds: float) -> bool:
        """Return whether it has ended, or ends within this time."""
        return self._client.has_ended(seconds)

    def end_with_run(self) -> None:
        """Make `release` close it."""
        self._is_kept = False

    def release(self) -> None:
        """Leave it to the next run; close it if something is running on it or has failed."""
        is_idle = self.is_open and all(channel.is_closed for channel in tuple(self._channels))
        if not (self._is_kept and is_idle and self._close_forwards()):
            self.close()
            return
        self._end_watch()
        self._folder.release()
        self._client.close()

    def close(self) -> None:
        """Close it now; nothing is sent afterwards."""
        self.end_ssh()
        self._folder.remove()

    def end_ssh(self) -> None:
        """End ssh, and keep its folder."""
        self._end_watch()
        if self.is_open:
            _kill(self._pid, signal.SIGTERM)
        # On a link that accepts no more bytes, ssh would wait forever while closing.
        if not self.ends_within(END):
            _kill(self._pid, signal.SIGKILL)
        self._client.close()

    def _close_forwards(self) -> bool:
        if not self._forwards:
            return True
        try:
            with closing(MuxClient(self._folder.socket, UNPROVEN)) as client:
                for port in self._forwards:
                    client.close_forward(port)
        except (OSError, EOFError, MuxRefused):
            return False
        self._forwards.clear()
        return True

    def _end_watch(self) -> None:
        # The end is reported by several threads.
        with suppress(OSError, ValueError):
            self._watch.communicate(b"\n")


def _watch(pid: int) -> subprocess.Popen[bytes]:
    words = ("/bin/sh", "-c", _WATCHED, "kamal-dev", str(pid))
    quiet = subprocess.DEVNULL
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, start_new_session=True)


def connect(way: Way, is_wanted: Callable[[], bool], log: OnLine) -> Connection:
    """Return an open connection, that of an earlier run if possible. Raises HostUnreachable, HostKeyChanged."""
    if way.vouched:
        known_hosts.pin(way.trust.known_hosts, way.known_as, way.vouched)
    try:
        folder = ControlFolder.take(openssh.master(way, Path(), Path()))
    except OSError as error:
        raise HostUnreachable(way.stack, f"no folder for the control socket of `ssh`: {error}") from error
    try:
        if connection := _reused(way, folder, log):
            return connection
        folder.sweep()
        log_in(way, folder, is_wanted, log)
        folder.record_login(way)
        return Connection(way, folder)
    except (OSError, EOFError) as error:
        folder.remove()
        raise HostUnreachable(way.stack, f"`ssh` ended right after the login: {error}") from error
    except BaseException:
        folder.remove()
        raise


def _reused(way: Way, folder: ControlFolder, log: OnLine) -> Connection | None:
    """Return the connection of an earlier run; None if there is none, or none that may still be used."""
    if not folder.socket.exists():
        return None
    try:
        connection = Connection(way, folder, is_reused=True)
    except (OSError, EOFError):
        return None
    if folder.is_current(way):
        log(f"{way.stack}: using the SSH connection of an earlier run")
        return connection
    connection.end_ssh()
    return None


def _kill(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
