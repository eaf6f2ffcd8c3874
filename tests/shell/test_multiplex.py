"""What is asked of an ssh that is connected, and what its answers mean. tests/kinds/test_ssh.py asks a real one."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from kamal_dev.shell.channel import Channel
from kamal_dev.shell.frame import Frame, Framed
from kamal_dev.shell.lines import Lines
from kamal_dev.shell.multiplex import MuxClient, MuxRefused

OPENED = (0x80000006, 0, 7)


class Master:
    """Take one client; `answer` says what comes back for its request, nothing for silence."""

    def __init__(self, path: Path, version: int = 4) -> None:
        self.answer: tuple[int | bytes, ...] = ()
        self.request = b""
        self.received: list[int] = []
        self.asked = threading.Event()
        self._client: socket.socket | None = None
        self._version = version
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def say(self, *fields: int | bytes) -> None:
        body = b"".join(
            struct.pack(">I", field) if isinstance(field, int) else struct.pack(">I", len(field)) + field
            for field in fields
        )
        assert self._client
        self._client.sendall(struct.pack(">I", len(body)) + body)

    def close(self) -> None:
        self._listener.close()
        self.end()

    def end(self) -> None:
        if self._client:
            self._client.close()
        for descriptor in self.received:
            os.close(descriptor)
        self.received = []

    def _serve(self) -> None:
        with suppress(OSError):
            self._converse()

    def _converse(self) -> None:
        self._client, _ = self._listener.accept()
        self._message()
        self.say(1, self._version)
        self.request = self._message()
        while self.request.startswith(b"\x10\x00\x00\x02") and len(self.received) < 3:
            self.received += socket.recv_fds(self._client, 1, 1)[1]
        if self.answer:
            self.say(*self.answer)
        self.asked.set()

    def _message(self) -> bytes:
        assert self._client
        head = self._client.recv(4)
        if not head:
            raise ConnectionError
        return self._client.recv(int.from_bytes(head, "big"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s"


@pytest.fixture
def master(path: Path) -> Iterator[Master]:
    with closing(Master(path)) as made:
        yield made


def run(master: Master, path: Path, give_up: Callable[[], None] = lambda: None, patience: float = 0.2) -> Channel:
    return Channel(MuxClient(path, patience), "true", give_up=give_up, is_shared=lambda: False)


def test_a_session_is_a_command_and_three_streams(master: Master, path: Path) -> None:
    master.answer = OPENED
    mark = Frame.new()
    out, err = Framed(mark, Lines()), Framed(mark.errors, Lines())
    with closing(run(master, path, patience=5)) as channel:
        channel.feed((b"some ", b"input"))
        assert master.request.endswith(b"\x00\x00\x00\x04true")
        stdin, stdout, stderr = master.received
        with open(stdin, "rb", closefd=False) as stream:
            assert stream.read() == b"some input"
        os.write(stdout, b"hello " + mark.begin + b"output" + mark.end + b"3;")
        os.write(stderr, mark.errors.begin + b"errors" + mark.errors.end + b"3;")
        channel.read(out, err, lambda: None)
        assert (out.code, out.end(), err.end()) == (3, "output", "errors")
        master.say(0x80000004, 7, 3)
        assert channel.exit_code(5) == 3
        master.end()
        assert channel.exit_code(5) is None


def test_a_session_that_is_refused_says_why(master: Master, path: Path) -> None:
    master.answer = (0x80000003, 0, b"Session open refused by peer")
    with pytest.raises(MuxRefused, match="Session open refused by peer"):
        run(master, path, patience=5)


def test_a_host_that_does_not_answer_in_time_has_got_nothing_once_ssh_has_ended(master: Master, path: Path) -> None:
    ended: list[bool] = []

    def give_up() -> None:
        master.end()
        ended.append(True)

    with pytest.raises(TimeoutError):
        run(master, path, give_up)
    assert ended == [True]


def test_a_command_that_was_sent_in_the_last_moment_is_not_taken_for_one_that_was_not(
    master: Master, path: Path
) -> None:
    def give_up() -> None:
        master.say(*OPENED)
        master.end()

    out, err = Framed(Frame.new(), Lines()), Framed(Frame.new(), Lines())
    with closing(run(master, path, give_up)) as channel:
        channel.read(out, err, lambda: None)
        assert (out.code, channel.exit_code()) == (None, None)


def test_an_ssh_that_ends_has_sent_nothing(master: Master, path: Path) -> None:
    def end() -> None:
        master.asked.wait(5)
        master.end()

    threading.Thread(target=end, daemon=True).start()
    with pytest.raises(EOFError):
        run(master, path, patience=5)


def test_a_host_lends_a_port_of_its_loopback_only(master: Master, path: Path) -> None:
    master.answer = (0x80000001, 0)
    with closing(MuxClient(path, 5)) as client:
        client.open_forward(5555)
    loopback = struct.pack(">I", 9) + b"127.0.0.1" + struct.pack(">I", 5555)
    assert master.request == struct.pack(">III", 0x10000006, 0, 2) + loopback + loopback


def test_another_version_of_the_protocol_is_not_spoken(path: Path) -> None:
    with closing(Master(path, version=5)), pytest.raises(OSError, match="another version"):
        MuxClient(path, 5)
