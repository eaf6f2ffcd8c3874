"""Read the logs of the stacks on one host; after a lost connection, resume after the last line received."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

from kamal_dev.commands import answers
from kamal_dev.commands import logs as commands
from kamal_dev.commands.log_merge import LogMerge
from kamal_dev.commands.logs import LogLine, LogQuery, LogReader
from kamal_dev.errors import DevError, EngineError, HostUnreachable, LinkDropped, NoAnswer, ProviderError
from kamal_dev.model import Host
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.shell import Receiver
from kamal_dev.shell.fanout import Background

PAUSES = (1.0, 2.0, 4.0, 8.0)
ATTEMPTS = 3  # for logs that are not followed; followed logs are retried forever


class LogBuffer:
    """Take the lines of several threads, and return them by time.

    Lines are added and taken together with the time that their host has reached, under one lock: otherwise a thread
    could move that time on while its lines are not there yet.
    """

    def __init__(self, merge: LogMerge | None = None) -> None:
        self._merge = merge or LogMerge()
        self._changed = threading.Condition()

    def add(self, reader: LogReader) -> None:
        """Expect the lines of a reader; call it before its thread starts."""
        self._merge.add(reader)

    def take(self, reader: LogReader, data: bytes, is_over: Callable[[], bool]) -> None:
        """Process the next bytes; waits while too many lines are held back, until `is_over`."""
        with self._changed:
            # Waiting here fills the pipes, and so stops the host, instead of filling our memory.
            while not self._merge.has_room(reader) and not is_over():
                self._changed.wait(1)
            self._merge.read(reader, data)

    def due(self, absent: Iterable[LogReader]) -> list[LogLine]:
        """Return the lines to print now; nothing is expected from the `absent` readers."""
        with self._changed:
            lines = self._merge.due(tuple(absent))
            self._changed.notify_all()
            return lines

    def rest(self) -> list[LogLine]:
        """Return the remaining lines."""
        with self._changed:
            return self._merge.rest()


class HostLog:
    """Read one host in its own thread, into a buffer.

    `hosts` asks the provider again, because a restarted host may have a new address. `silent_since` is when the
    current attempt to reach the host began, until it answers.
    """

    def __init__(
        self,
        connections: HostConnections,
        stacks: Mapping[str, Host],
        query: LogQuery,
        hosts: Callable[[], Mapping[str, Host]],
        buffer: LogBuffer,
    ) -> None:
        self.reader = LogReader()
        self.target = next(iter(stacks.values()))
        self.stacks = tuple(stacks)
        self.error: DevError | None = None
        self.silent_since: float | None = time.monotonic()
        self._connections = connections
        self._query = query
        self._hosts = hosts
        self._buffer = buffer
        self._failures = 0
        buffer.add(self.reader)
        self._work: Background[None] | None = None

    def begin(self) -> None:
        """Start reading."""
        self._work = Background(self._read, name=f"logs of {self.target.name}")

    @property
    def is_done(self) -> bool:
        """Whether no more lines will come. Raises what ended the thread, unless it is an error of the host."""
        if self._work is None or not self._work.is_done:
            return False
        self._work.result()
        return True

    @property
    def is_reconnecting(self) -> bool:
        """Whether the connection was lost, and this was reported."""
        return self._failures > 0

    def _read(self) -> None:
        while (error := self._attempt()) is not None:
            if self._connections.is_closing():
                return
            if not self._is_retried(error):
                self.error = error
                return
            if not self._failures:
                self._connections.output.info(f"{error.message}; reconnecting", self.target, phase="connecting")
            self.silent_since = self.silent_since or time.monotonic()
            time.sleep(PAUSES[min(self._failures, len(PAUSES) - 1)])
            self._failures += 1

    def _is_retried(self, error: DevError) -> bool:
        is_passing = isinstance(error, (LinkDropped, HostUnreachable, NoAnswer))
        return is_passing and bool(self.reader.began) and (self._query.follow or self._failures < ATTEMPTS)

    def _attempt(self) -> DevError | None:
        """Read until the script ends; return why it ended too early, or None."""
        self.reader.restart()
        step = commands.logs(self._connections.scripts, self.stacks, self._query, self.reader.resume())
        try:
            if self._failures:
                self._find_again()
            shell = self._connections.remote(self.target)
            assert isinstance(shell, Receiver)
            result = shell.receive(step, self._take, feed=(step.stdin or b"",))
        except DevError as error:
            return error
        if not self.reader.ended:
            return NoAnswer(self.target.name, f"reading logs ended early on the host: {result.tail(1)}")
        outcome = answers.outcome("\n".join(self.reader.ended))
        return None if outcome else NoAnswer(self.target.name, outcome.reason)

    def _find_again(self) -> None:
        try:
            target = self._hosts().get(self.stacks[0])
        except (ProviderError, EngineError) as error:
            # A cloud or an engine that restarts does not answer for a while, as the host itself.
            raise HostUnreachable(self.target.name, error.message, hint=error.hint) from error
        if target is None or not target.address:
            raise HostUnreachable(self.target.name, "the host is not running or does not answer")
        self.target = target

    def _take(self, data: bytes) -> None:
        self._buffer.take(self.reader, data, self._connections.is_closing)
        if not self.reader.is_begun:
            return
        self.silent_since = None
        if self._failures:
            self._failures = 0
            self._connections.output.info("Reconnected", self.target, phase="connecting")
        while self.reader.complaints:
            self._connections.output.warn(self.reader.complaints.pop(0))
