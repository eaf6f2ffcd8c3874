from __future__ import annotations

from typing import cast

import paramiko

from kamal_dev.shell.remote import _write


class SlowChannel:
    """Take a few bytes at a time, and time out in between as a busy host does."""

    def __init__(self) -> None:
        self.taken = b""
        self.is_ended = False
        self._calls = 0

    def send(self, data: bytes) -> int:
        self._calls += 1
        if self._calls % 2:
            raise TimeoutError
        self.taken += data[:5]
        return len(data[:5])

    def shutdown_write(self) -> None:
        self.is_ended = True


def test_a_slow_reader_gets_every_byte_and_then_the_end() -> None:
    channel = SlowChannel()
    _write(cast(paramiko.Channel, channel), (b"first chunk, ", b"second chunk"))
    assert channel.taken == b"first chunk, second chunk"
    assert channel.is_ended


def test_stdin_is_closed_even_where_the_feed_breaks_off() -> None:
    def broken() -> object:
        yield b"some"
        raise OSError("disk gone")

    channel = SlowChannel()
    _write(cast(paramiko.Channel, channel), cast("list[bytes]", broken()))
    assert channel.is_ended
