"""Run steps on a host over one SSH connection."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from kamal_dev.errors import DevError, HostError, HostTimeout, HostUnreachable, LinkDropped, NoAnswer
from kamal_dev.model import Host, Result, Step
from kamal_dev.shell import OnLine, frame, remote_forward
from kamal_dev.shell.channel import EXIT, Channel
from kamal_dev.shell.connection import Connection, connect
from kamal_dev.shell.fanout import Background
from kamal_dev.shell.frame import Frame, Framed
from kamal_dev.shell.lines import Bytes, Lines
from kamal_dev.shell.multiplex import MuxRefused
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way

BEGINNING = 60.0
ENDING = 5.0
LOGIN_ENDING = 2.0
ATTEMPTS = 3
SESSION_ENDING, SESSION_RETRY = 1.0, 0.05  # seconds
EXHAUSTED = (errno.EMFILE, errno.ENFILE)
MORE_FILES = "this machine allows no more open files: raise the limit with `ulimit -n`"
AGAIN = "try again: transferred data is kept; `dev status` shows what is running"
Opened = TypeVar("Opened")


class Remote:
    """Run steps on one host. The first step connects; a step after a lost connection reconnects."""

    def __init__(self, host: Host, trust: Trust, log: OnLine | None = None) -> None:
        self.host = host
        self._trust = trust
        self._log = log or (lambda _: None)
        self._connection: Connection | None = None
        self._early: Background[Connection] | None = None
        self._opening = threading.RLock()
        self._is_closed = False

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Run `step` in one exec. A step with an environment is refused: it would be visible in the remote argv.

        Raises HostUnreachable, HostKeyChanged, HostTimeout, LinkDropped if the connection was lost before an exit
        code arrived, and NoAnswer if the host did not run it.
        """
        return self._exec(step, Lines(on_line), Lines(on_line), feed, timeout)

    def receive(
        self, step: Step, take: Callable[[bytes], object], *, feed: Iterable[bytes], timeout: float | None = None
    ) -> Result:
        """Run `step` like `run`, but pass its stdout to `take` as bytes; `output` stays empty."""
        return self._exec(step, Bytes(take), Lines(), feed, timeout)

    def connect(self) -> None:
        """Start to log in; the first step waits for the login, and raises why it failed."""
        with self._opening:
            if not (self._early or self._connection or self._is_closed):
                self._early = Background(self._login)

    def lend(self, port: int) -> Connection:
        """Forward `port` of the host to the same port here, until the connection ends. Raises HostError."""
        self._log(f"{self.host.name}: forward 127.0.0.1:{port} to 127.0.0.1:{port} of this machine")
        try:
            connection, _ = self._asked(lambda connection: connection.open_forward(port))
        except MuxRefused as error:
            raise remote_forward.refused(self, self.host.name, port, str(error)) from error
        return connection

    def _exec(
        self, step: Step, out: Lines | Bytes, err: Lines, feed: Iterable[bytes] | None, timeout: float | None
    ) -> Result:
        if step.environment:
            raise ValueError("a step for a host carries no environment")
        self._log(f"{self.host.name}$ {step.text}")
        started = time.monotonic()
        mark = Frame.new()
        connection, channel = self._session(frame.line(mark.around(step.argv)))
        log_size = connection.log_size
        stdout, stderr = Framed(mark, out), Framed(mark.errors, err)
        try:
            channel.feed(feed or ((step.stdin,) if step.stdin else ()))
            channel.read(stdout, stderr, partial(self._check, stdout, time.monotonic(), timeout))
            code = channel.exit_code(ENDING if stdout.code is None else EXIT)
            output, errors = stdout.end(), stderr.end()
        except HostError:
            # The connection may be what does not answer. Those who share it find out, and must not be ended by this.
            connection.end_with_run()
            if not connection.is_used(apart_from=channel):
                self._drop_if(connection)
            raise
        finally:
            channel.close()
        if stdout.code != 0:
            # What people change on the host after a failure, such as groups or limits, counts from the next login on.
            connection.end_with_run()
        if stdout.code is not None:
            return Result(step, stdout.code, output, errors, time.monotonic() - started)
        if code is None and connection.ends_within(EXIT):
            reason = connection.complaint(log_size) or "it was closed"
            raise LinkDropped(self.host.name, f"the connection was lost during `{step.text}`: {reason}", hint=AGAIN)
        raise self._unanswered(-1 if code is None else code, stdout, stderr)

    def _unanswered(self, code: int, stdout: Framed, stderr: Framed) -> HostError:
        """Return why there is no exit code: the command did not run, or was killed."""
        if stdout.has_begun:
            return LinkDropped(self.host.name, "the command was killed on the host", hint=AGAIN)
        return NoAnswer(self.host.name, frame.unanswered(code, stdout.noise, stderr.noise), hint=frame.OTHERS_ANSWER)

    def end_with_run(self) -> None:
        """Log in again in the next run, because something has changed that counts from the next login on."""
        with self._opening:
            if self._connection:
                self._connection.end_with_run()

    def close(self) -> None:
        """Leave the connection to the next run; if a step is running, end it: the step ends with LinkDropped."""
        self._is_closed = True
        # A login that is still running notices, and deletes its folder. If this process ended first, the folder would
        # stay.
        if self._early:
            self._early.wait(LOGIN_ENDING)
        is_free = self._opening.acquire(timeout=LOGIN_ENDING)
        try:
            self._drop()
        finally:
            if is_free:
                self._opening.release()

    def _drop(self) -> None:
        if self._early and self._early.is_done:
            early, self._early = self._early, None
            with suppress(DevError):
                early.result().release()
        connection, self._connection = self._connection, None
        if connection:
            connection.release()

    def _session(self, command: str) -> tuple[Connection, Channel]:
        deadline = time.monotonic() + SESSION_ENDING
        while True:
            try:
                return self._asked(lambda connection: connection.session(command))
            except MuxRefused as error:
                # A session that has just ended counts until sshd has closed it, so the next one may exceed MaxSessions.
                if time.monotonic() < deadline:
                    time.sleep(SESSION_RETRY)
                    continue
                raise HostUnreachable(
                    self.host.name, f"the host refused a session: {error}", hint="see `MaxSessions` in its sshd_config"
                ) from error

    def _asked(self, ask: Callable[[Connection], Opened]) -> tuple[Connection, Opened]:
        """Open a session or a forward. If the connection does not answer, reconnect: nothing of this was sent."""
        connection, log_size = self._connected(), 0
        for attempt in range(1, ATTEMPTS + 1):
            try:
                connection = self._connected()
                log_size = connection.log_size
                return connection, ask(connection)
            except MuxRefused:
                # Sessions of an earlier run may still count on the host, or its sshd_config may have changed since.
                if not connection.is_reused or connection.is_used() or attempt == ATTEMPTS:
                    raise
                self._drop_if(connection)
            except (OSError, EOFError, HostUnreachable) as error:
                if getattr(error, "errno", None) in EXHAUSTED:
                    raise HostError(self.host.name, f"no session could be opened: {error}", hint=MORE_FILES) from error
                reason = connection.complaint(log_size) or str(error)
                self._drop_if(connection)
                if attempt == ATTEMPTS or self._is_closed:
                    raise LinkDropped(
                        self.host.name,
                        f"the connection was lost before a command could be sent: {reason}",
                        hint="try again: nothing was changed",
                    ) from error
        raise AssertionError("unreachable")

    def _connected(self) -> Connection:
        with self._opening:
            if self._is_closed:
                raise HostUnreachable(self.host.name, "this run has ended")
            if self._early:
                early, self._early = self._early, None
                self._connection = early.result()
            if self._connection is None or not self._connection.is_open:
                self._drop()
                self._connection = self._login()
            if self._is_closed:
                # `close` does not wait for a login, which may have ended just after it.
                self._drop()
                raise HostUnreachable(self.host.name, "this run has ended")
            return self._connection

    def _login(self) -> Connection:
        connection = connect(way(self.host, self._trust), lambda: not self._is_closed, self._log)
        if self._is_closed:
            connection.close()
        return connection

    def _drop_if(self, connection: Connection) -> None:
        """Close a failed connection, unless another thread has already opened the next one."""
        with self._opening:
            if self._connection is connection:
                self._connection = None
        connection.close()

    def _check(self, out: Framed, started: float, timeout: float | None) -> None:
        """Raise if a command has used up its time; the limit also holds for one that keeps printing."""
        seconds = time.monotonic() - started
        if not out.has_begun and seconds > BEGINNING:
            raise NoAnswer(
                self.host.name,
                f"the host did not start the command within {BEGINNING:.0f} s; "
                f"the login printed {frame.quoted(out.noise)}",
                hint=frame.OTHERS_ANSWER,
            )
        if timeout and seconds > timeout:
            raise HostTimeout(self.host.name, f"no answer within {timeout:.0f} s; its state is unknown")
