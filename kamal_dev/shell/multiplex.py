"""Ask a connected ssh for sessions and forwards over its control socket. Starts no process.

Source: PROTOCOL.mux of OpenSSH, version 4. Until ssh reports an open session, the host has received nothing of the
command; an `ssh -S` for each command would not tell.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

VERSION = 4
HELLO, NEW_SESSION, ALIVE_CHECK = 0x00000001, 0x10000002, 0x10000004
OPEN_FORWARD, CLOSE_FORWARD = 0x10000006, 0x10000007
OK, DENIED, FAILURE, EXIT_MESSAGE = 0x80000001, 0x80000002, 0x80000003, 0x80000004
ALIVE, SESSION_OPENED = 0x80000005, 0x80000006
NO_ESCAPE = 0xFFFFFFFF
REMOTE_FORWARD = 2
LOOPBACK = b"127.0.0.1"


class MuxRefused(Exception):
    """Carry the reason why ssh, or the host, refused."""


class MuxClient:
    """Hold one connection to the control socket. Raises OSError or EOFError if ssh does not answer."""

    def __init__(self, path: Path, patience: float) -> None:
        """`patience` is how many seconds ssh and the host have for each answer."""
        self._held = b""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience)
        try:
            self._socket.connect(str(path))
            self._send(HELLO, VERSION)
            kind, body = self._receive()
            if kind != HELLO or body[:4] != _packed(VERSION):
                raise OSError("ssh speaks another version of the multiplexing protocol")
        except BaseException:
            self.close()
            raise

    def pid(self) -> int:
        """Return the process ID of ssh."""
        self._send(ALIVE_CHECK, 0)
        return int.from_bytes(self._expect(ALIVE)[4:8], "big")

    def has_ended(self, patience: float = 0) -> bool:
        """Return whether ssh has ended, or ends within this time; only without an open request."""
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
            return bool(poll.poll(patience * 1000))
        except (OSError, ValueError):
            return True

    def open_session(self, command: str, streams: Sequence[int]) -> None:
        """Run `command` with stdin, stdout and stderr. Raises MuxRefused."""
        words = command.encode(errors="surrogateescape")
        self._send(NEW_SESSION, 0, b"", *(0, 0, 0, 0), NO_ESCAPE, b"", words)
        for stream in streams:
            socket.send_fds(self._socket, [b"\0"], [stream])
        self.await_session()

    def await_session(self) -> None:
        """Wait for the answer to `open_session`. Raises MuxRefused."""
        self._expect(SESSION_OPENED)

    def was_opened(self) -> bool:
        """Return whether a session that timed out was opened before ssh ended."""
        try:
            self.await_session()
        except (OSError, EOFError, MuxRefused):
            return False
        return True

    def exit_code(self, patience: float) -> int | None:
        """Wait for the end of the session; None if no exit code arrives in time."""
        self._socket.settimeout(patience)
        try:
            kind, body = self._receive()
        except (OSError, EOFError):
            return None
        return int.from_bytes(body[4:8], "big") if kind == EXIT_MESSAGE else None

    def open_forward(self, port: int) -> None:
        """Forward `port` of the host's loopback interface to the same port here. Raises MuxRefused."""
        self._send(OPEN_FORWARD, 0, REMOTE_FORWARD, LOOPBACK, port, LOOPBACK, port)
        self._expect(OK)

    def close_forward(self, port: int) -> None:
        """End what `open_forward` opened. Raises MuxRefused."""
        self._send(CLOSE_FORWARD, 0, REMOTE_FORWARD, LOOPBACK, port, LOOPBACK, port)
        self._expect(OK)

    def close(self) -> None:
        """Close it, which ends the session."""
        self._socket.close()

    def _expect(self, wanted: int) -> bytes:
        kind, body = self._receive()
        if kind in (DENIED, FAILURE):
            raise MuxRefused(body[8:].decode(errors="replace"))
        if kind != wanted:
            raise OSError(f"ssh answered with message {kind:#x}")
        return body

    def _send(self, *fields: int | bytes) -> None:
        self._socket.sendall(_packed(_packed(*fields)))

    def _receive(self) -> tuple[int, bytes]:
        """Return the type and the body of the next message."""
        while len(self._held) < 4 or len(self._held) < 4 + int.from_bytes(self._held[:4], "big"):
            data = self._socket.recv(4096)
            if not data:
                raise EOFError("ssh has ended")
            self._held += data
        end = 4 + int.from_bytes(self._held[:4], "big")
        message, self._held = self._held[4:end], self._held[end:]
        return int.from_bytes(message[:4], "big"), message[4:]


def _packed(*fields: int | bytes) -> bytes:
    """Return numbers, and text with its length, in ssh's wire format."""
    return b"".join(
        struct.pack(">I", field) if isinstance(field, int) else struct.pack(">I", len(field)) + field
        for field in fields
    )
