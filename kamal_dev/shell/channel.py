"""Handle one command on a host: its three streams, and its end. Knows nothing about hosts."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable

from kamal_dev.shell import pipes
from kamal_dev.shell.frame import Framed
from kamal_dev.shell.multiplex import MuxClient

POLL = 0.5
REST = 5.0  # seconds to wait for the rest of stderr
EXIT = 0.25


class Channel:
    """Hold one session of a connected ssh, for one command."""

    def __init__(self, client: MuxClient, command: str, give_up: Callable[[], None]) -> None:
        """Open it; `give_up` ends ssh. Raises MuxRefused, and OSError or EOFError if the host received nothing."""
        self._client = client
        self._is_closed = False
        (their_in, own_in), (own_out, their_out), (own_err, their_err) = (os.pipe() for _ in range(3))
        self._stdin = os.fdopen(own_in, "wb", 0)
        self._stdout, self._stderr = os.fdopen(own_out, "rb", 0), os.fdopen(own_err, "rb", 0)
        try:
            self._open(command, (their_in, their_out, their_err), give_up)
        except BaseException:
            self.close()
            raise
        finally:
            for stream in (their_in, their_out, their_err):
                os.close(stream)

    def _open(self, command: str, streams: tuple[int, int, int], give_up: Callable[[], None]) -> None:
        try:
            self._client.open_session(command, streams)
        except TimeoutError:
            # ssh replies before it sends the command. Once ssh has ended, this reply says whether anything was sent.
            give_up()
            if not self._client.was_opened():
                raise

    def feed(self, data: Iterable[bytes]) -> None:
        """Write stdin in the background, and always close it: a command waiting for more would never end."""
        pipes.Worker(lambda: pipes.feed(self._stdin, data, lambda: self._is_closed))

    def read(self, out: Framed, err: Framed, check: Callable[[], None]) -> None:
        """Read until both frames or both streams end; `check` is called now and then, and may raise."""
        sinks = {self._stdout.fileno(): out, self._stderr.fileno(): err}
        poll, deadline = select.poll(), None
        for descriptor in sinks:
            poll.register(descriptor, select.POLLIN)
        while sinks and (out.code is None or err.code is None):
            check()
            # A background process of a start-up file may keep the streams open for as long as it likes.
            if out.code is not None and time.monotonic() > (deadline := deadline or time.monotonic() + REST):
                return
            for descriptor, _ in poll.poll(POLL * 1000):
                if data := os.read(descriptor, pipes.PIECE):
                    sinks[descriptor].feed(data)
                else:
                    poll.unregister(descriptor)
                    del sinks[descriptor]

    def exit_code(self, patience: float = EXIT) -> int | None:
        """Return the exit code of the login shell; None if it does not arrive in time."""
        return self._client.exit_code(patience)

    def close(self) -> None:
        """End the session."""
        self._is_closed = True
        self._client.close()
        for stream in (self._stdin, self._stdout, self._stderr):
            stream.close()
