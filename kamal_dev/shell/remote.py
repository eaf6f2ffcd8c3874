"""Run steps on a host over one SSH connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import paramiko

from kamal_dev.errors import HostError, HostTimeout, HostUnreachable, LinkDropped, NoAnswer
from kamal_dev.model import Host, Result, Step
from kamal_dev.shell import OnLine, frame
from kamal_dev.shell.connecting import ConnectionChain, connect
from kamal_dev.shell.frame import Frame, Framed
from kamal_dev.shell.lines import Bytes, Lines
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way

POLL = 0.5
BEGINNING = 60.0
SESSION_ATTEMPTS = 3
AGAIN = "try again: transferred data is kept; `dev status` shows what is running"


class Remote:
    """Run steps on one host. Connects at the first step, and again after a lost link."""

    def __init__(self, host: Host, trust: Trust, log: OnLine | None = None) -> None:
        self.host = host
        self._trust = trust
        self._log = log
        self._connection: ConnectionChain | None = None
        self._opening = threading.Lock()
        self._is_closed = False

    def run(
        self,
        step: Step,
        *,
        on_line: OnLine | None = None,
        timeout: float | None = None,
        feed: Iterable[bytes] | None = None,
    ) -> Result:
        """Run `step` in one exec. The step's environment is refused: it would stand in the remote argv.

        Raises HostUnreachable, HostKeyChanged, HostTimeout, LinkDropped where the link
        went away before an exit code came, and NoAnswer where the host did not run it.
        """
        return self._exec(step, Lines(on_line), Lines(on_line), feed, timeout)

    def receive(
        self, step: Step, take: Callable[[bytes], object], *, feed: Iterable[bytes], timeout: float | None = None
    ) -> Result:
        """Run `step` as `run` does, its stdout going to `take` byte by byte; `output` stays empty."""
        return self._exec(step, Bytes(take), Lines(), feed, timeout)

    def _exec(
        self, step: Step, out: Lines | Bytes, err: Lines, feed: Iterable[bytes] | None, timeout: float | None
    ) -> Result:
        if step.environment:
            raise ValueError("a step for a host carries no environment")
        if self._log:
            self._log(f"{self.host.name}$ {step.text}")
        started = time.monotonic()
        channel = self._channel()
        mark = Frame.new()
        said, complained = Framed(mark, out), Framed(mark.errors, err)
        try:
            channel.exec_command(frame.line(mark.around(step.argv)))
            feed = feed or ((step.stdin,) if step.stdin else ())
            output, errors = self._converse(channel, said, complained, feed, timeout)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise LinkDropped(
                self.host.name,
                f"the connection was lost during `{step.text}`: {error}",
                hint=AGAIN,
            ) from error
        finally:
            channel.close()
        if said.code is None:
            raise self._unanswered(channel.exit_status, said, complained)
        return Result(step, said.code, output, errors, time.monotonic() - started)

    def _unanswered(self, code: int, said: Framed, complained: Framed) -> HostError:
        """Say why there is no exit code: the command did not run, or was ended there."""
        if said.has_begun:
            return LinkDropped(self.host.name, "the command was killed on the host", hint=AGAIN)
        return NoAnswer(self.host.name, frame.unanswered(code, said.noise, complained.noise), hint=frame.OTHERS_ANSWER)

    def close(self) -> None:
        """End the connection for good; a running step ends with LinkDropped."""
        self._is_closed = True
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            connection.close()

    def _channel(self) -> paramiko.Channel:
        """Open a session. Nothing was sent before, so a link that is silent by now is opened again at once."""
        link = self._link()
        for attempt in range(1, SESSION_ATTEMPTS + 1):
            try:
                link = self._link()
                return link.transport.open_session(timeout=self._trust.connect_timeout)
            except paramiko.ChannelException as error:
                raise HostUnreachable(
                    self.host.name,
                    f"the host refused a session: {error.text}",
                    hint="see `MaxSessions` in its sshd_config",
                ) from error
            except (OSError, EOFError, paramiko.SSHException, HostUnreachable) as error:
                self._drop_if(link)
                if attempt == SESSION_ATTEMPTS:
                    raise LinkDropped(
                        self.host.name,
                        f"the connection was lost before a command could be sent: {error}",
                        hint="try again: nothing was changed by it",
                    ) from error
        raise AssertionError("unreachable")

    def _link(self) -> ConnectionChain:
        with self._opening:
            if self._is_closed:
                raise HostUnreachable(self.host.name, "this run has ended")
            if self._connection is None or not self._connection.is_open:
                self._drop()
                self._connection = connect(way(self.host, self._trust))
            return self._connection

    def _drop_if(self, link: ConnectionChain) -> None:
        """Close a link that failed; another thread may have opened the next one already."""
        with self._opening:
            if self._connection is link:
                self._connection = None
        link.close()

    def _converse(
        self,
        channel: paramiko.Channel,
        out: Framed,
        err: Framed,
        feed: Iterable[bytes],
        timeout: float | None,
    ) -> tuple[str, str]:
        threading.Thread(target=_write, args=(channel, feed), daemon=True).start()
        reader = threading.Thread(target=_drain_errors, args=(channel, err), daemon=True)
        reader.start()
        started = time.monotonic()
        channel.settimeout(POLL)
        while out.code is None:
            # A command that keeps printing has a deadline, too.
            self._check(out, time.monotonic() - started, timeout)
            try:
                data = channel.recv(1 << 16)
            except TimeoutError:
                if not _is_alive(channel):
                    raise EOFError("the connection closed") from None
                continue
            if not data:
                break
            out.feed(data)
        reader.join(5)
        if out.code is not None:
            # What a start-up file left running may hold the streams open for as long as it likes.
            return out.end(), err.end()
        if not channel.exit_status_ready() and not channel.status_event.wait(5):
            raise EOFError("no exit code")
        if channel.exit_status == -1 and not _is_alive(channel):
            raise EOFError("the connection closed")
        return out.end(), err.end()

    def _check(self, out: Framed, seconds: float, timeout: float | None) -> None:
        if not out.has_begun and seconds > BEGINNING:
            self._drop()
            raise NoAnswer(
                self.host.name,
                f"the host did not start the command within {BEGINNING:.0f} s; "
                f"the login printed {frame.quoted(out.noise)}",
                hint=frame.OTHERS_ANSWER,
            )
        if timeout and seconds > timeout:
            self._drop()
            raise HostTimeout(self.host.name, f"no answer within {timeout:.0f} s; its state is unknown")


def _is_alive(channel: paramiko.Channel) -> bool:
    transport = channel.get_transport()
    return transport is not None and transport.is_active()


def _write(channel: paramiko.Channel, feed: Iterable[bytes]) -> None:
    """Write stdin and always close it: a command that waits for more input would never end."""
    with suppress(OSError, EOFError):
        try:
            for chunk in feed:
                _send(channel, chunk)
        finally:
            channel.shutdown_write()


def _send(channel: paramiko.Channel, rest: bytes) -> None:
    # The channel's timeout is for reading; a slow reader on the other side is no error.
    while rest:
        with suppress(TimeoutError):
            sent = channel.send(rest)
            if sent == 0:
                raise EOFError("the channel is closed")
            rest = rest[sent:]


def _drain_errors(channel: paramiko.Channel, lines: Framed) -> None:
    while lines.code is None:
        try:
            data = channel.recv_stderr(1 << 16)
        except TimeoutError:
            if channel.closed or channel.eof_received:
                return
            continue
        except (OSError, EOFError):
            return
        if not data:
            return
        lines.feed(data)
