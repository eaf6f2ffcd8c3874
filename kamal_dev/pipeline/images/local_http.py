"""Read a document from an HTTP server on this machine. Uses no proxy and no TLS, follows no redirect.

The standard library's client also reads mail headers, cookies and certificates: importing it takes as long as the
start of a small program.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from kamal_dev.values import dataclass

LONGEST_LINE, MOST_HEADERS = 1 << 16, 100


class NotHttp(Exception):
    """Raised if the server does not speak HTTP."""


@dataclass(frozen=True)
class HttpAnswer:
    """Hold an answer; header names are in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


def get(server: str, path: str, accept: Iterable[str], *, timeout: float, longest: int) -> HttpAnswer:
    """Return the answer of `localhost:PORT`; reads at most `longest` bytes. Raises OSError, NotHttp."""
    name, _, port = server.rpartition(":")
    lines = (f"GET {path} HTTP/1.0", f"Host: {server}", f"Accept: {', '.join(accept)}", "", "")
    # As bytes: to look up text, Python first imports the tables of international domain names.
    with socket.create_connection((name.encode(), int(port)), timeout=timeout) as connection:  # type: ignore[arg-type]
        connection.sendall("\r\n".join(lines).encode())
        with connection.makefile("rb") as stream:
            return _read(stream, longest)


def _read(stream: BinaryIO, longest: int) -> HttpAnswer:
    version, _, status = _line(stream).partition(" ")
    code, _, reason = status.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdecimal():
        raise NotHttp("its answer is not HTTP")
    headers: dict[str, str] = {}
    while line := _line(stream):
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
        if len(headers) > MOST_HEADERS:
            raise NotHttp("its answer is not HTTP: it has too many headers")
    body = stream.read(longest)
    length = headers.get("content-length", "")
    if length.isdecimal() and len(body) < min(int(length), longest):
        raise ConnectionResetError("unexpected EOF")
    return HttpAnswer(int(code), reason, headers, body)


def _line(stream: BinaryIO) -> str:
    line = stream.readline(LONGEST_LINE)
    if not line:
        raise ConnectionResetError("unexpected EOF: it closed the connection without an answer")
    return line.decode("latin-1").rstrip("\r\n")
