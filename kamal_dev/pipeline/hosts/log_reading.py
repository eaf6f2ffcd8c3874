"""Read the logs of the stacks on one host; after a lost connection, resume after the last line received."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from kamal_dev.commands import answers
from kamal_dev.commands import logs as commands
from kamal_dev.commands.logs import LogLine, LogQuery, LogReader
from kamal_dev.errors import DevError, HostUnreachable, LinkDropped, NoAnswer
from kamal_dev.model import Host
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.shell import Receiver
from kamal_dev.shell.fanout import Background

PAUSES = (1.0, 2.0, 4.0, 8.0)
ATTEMPTS = 3  # for logs that are not followed; followed logs are retried forever
MOST_WAITING = 200_000  # lines waiting to be printed; beyond this the host is not read for a while


class HostLog:
    """Read one host in its own thread; `lines` returns what arrived since the last call.

    `hosts` asks the provider again, because a restarted host may have a new address.
    """

    def __init__(
        self,
        connections: HostConnections,
        stacks: Mapping[str, Host],
        query: LogQuery,
        hosts: Callable[[], Mapping[str, Host]],
    ) -> None:
        self.reader = LogReader()
        self.stacks = tuple(stacks)
        self.error: DevError | None = None
        self._connections = connections
        self._target = next(iter(stacks.values()))
        self._query = query
        self._hosts = hosts
        self._failures = 0
        self._lines: list[LogLine] = []
        self._changed = threading.Condition()
        self._work = Background(self._read, name=f"logs of {self._target.name}")

    @property
    def is_done(self) -> bool:
        """Return whether no more lines will come."""
        return self._work.is_done

    def lines(self) -> list[LogLine]:
        """Return the lines that arrived since the last call."""
        with self._changed:
            lines, self._lines = self._lines, []
            self._changed.notify()
        return lines

    def _read(self) -> None:
        while (error := self._attempt()) is not None:
            if self._connections.is_closing():
                return
            has_begun = bool(self.reader.began)
            if not has_begun or not (self._query.follow or self._failures < ATTEMPTS):
                self.error = error
                return
            if not self._failures:
                self._connections.output.info(f"{error.message}; reconnecting", self._target, phase="connecting")
            time.sleep(PAUSES[min(self._failures, len(PAUSES) - 1)])
            self._failures += 1

    def _attempt(self) -> DevError | None:
        """Read until the script ends; return why it ended too early, or None."""
        self.reader.restart()
        step = commands.logs(self._connections.scripts, self.stacks, self._query, self.reader.resume())
        try:
            if self._failures:
                self._find_again()
            shell = self._connections.remote(self._target)
            assert isinstance(shell, Receiver)
            result = shell.receive(step, self._take, feed=(step.stdin or b"",))
        except (LinkDropped, HostUnreachable, NoAnswer) as error:
            return error
        except DevError as error:
            self.error = error
            return None
        if not self.reader.ended:
            return NoAnswer(self._target.name, f"reading logs ended early on the host: {result.tail(1)}")
        outcome = answers.outcome("\n".join(self.reader.ended))
        return None if outcome else NoAnswer(self._target.name, outcome.reason)

    def _find_again(self) -> None:
        target = self._hosts().get(self.stacks[0])
        if target is None or not target.address:
            raise HostUnreachable(self._target.name, "the host is not running or does not answer")
        self._target = target

    def _take(self, data: bytes) -> None:
        lines = self.reader.read(data)
        if self._failures:
            self._failures = 0
            self._connections.output.info("Reconnected", self._target, phase="connecting")
        while self.reader.complaints:
            self._connections.output.warn(self.reader.complaints.pop(0))
        with self._changed:
            self._lines += lines
            # A slow reader on our side must not fill the memory, so the host waits.
            while len(self._lines) > MOST_WAITING and not self._connections.is_closing():
                self._changed.wait(1)
