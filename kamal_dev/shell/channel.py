"""Handle one command on a host: its three streams, and its end. Knows nothing about hosts."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import IO

from kamal_dev.shell import pipes
from kamal_dev.shell.frame import Framed
from kamal_dev.shell.multiplex import MuxClient

POLL = 0.5
REST = 5.0  # seconds to wait for the rest of stderr
EXIT = 0.25


class Channel:
    """Hold one session of a connected ssh, for one command."""

    def __init__(
        self, client: MuxClient, command: str, *, give_up: Callable[[], None], is_shared: Callable[[], bool]
    ) -> None:
        """Open it; `give_up` ends ssh, which must not happen while it `is_shared` with other work on the host.

        Raises MuxRefused, and OSError or EOFError if the host received nothing.
        """
        self._client = client
        self.is_closed = False
        with ExitStack() as own, ExitStack() as theirs:
            own.callback(client.close)
            inputs, outputs, errors = (_pipe(own, theirs, is_input=number == 0) for number in range(3))
            self._stdin, self._stdout, self._stderr = inputs[0], outputs[0], errors[0]
            self._open(command, (inputs[1], outputs[1], errors[1]), give_up, is_shared)
            self._own = own.pop_all()

    def _open(
        self,
        command: str,
        streams: tuple[int, int, int],
        give_up: Callable[[], None],
        is_shared: Callable[[], bool],
    ) -> None:
        try:
            self._client.open_session(command, streams)
            return
        except TimeoutError:
            pass
        # sshd may be slow under load, and ending ssh would end what others run there. If the connection is lost, the
        # keepalives of ssh end it.
        while is_shared():
            with suppress(TimeoutError):
                self._client.await_session()
                return
        # ssh replies before it sends the command. Once ssh has ended, this reply says whether anything was sent.
        give_up()
        if not self._client.was_opened():
            raise TimeoutError("the session was not opened in time")

    def feed(self, data: Iterable[bytes]) -> None:
        """Write stdin in the background, and always close it: a command waiting for more would never end."""
        pipes.Worker(lambda: pipes.feed(self._stdin, data, lambda: self.is_closed))

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
        self.is_closed = True
        self._client.close()
        self._own.close()


def _pipe(own: ExitStack, theirs: ExitStack, *, is_input: bool) -> tuple[IO[bytes], int]:
    """Return our end of a new pipe, and the one for the command."""
    reading, writing = os.pipe()
    theirs.callback(os.close, reading if is_input else writing)
    stream = os.fdopen(writing, "wb", 0) if is_input else os.fdopen(reading, "rb", 0)
    return own.enter_context(stream), reading if is_input else writing
