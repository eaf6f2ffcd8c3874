"""A web server that alerts are posted to: it keeps the requests, and answers as a test wants it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """What was sent; `line` is the method and the path."""

    line: str
    headers: Mapping[str, str]
    body: str
    code: int

    @property
    def json(self) -> Any:
        """The body as a value."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Webhook:
    """The server, and the requests so far."""

    port: int
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str) -> str:
        """Return the address of a path for this machine."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def delivered(self, path: str) -> list[Any]:
        """Return the bodies that the server has accepted at a path."""
        return [each.json for each in self.requests if each.line == f"POST /{path}" and each.code // 100 == 2]


@contextmanager
def listening(answer: Callable[[Webhook, str], int], address: str = "127.0.0.1") -> Iterator[Webhook]:
    """Serve until the end of the block; `answer` returns the code for a request of this line."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            line = f"{self.command} {self.path}"
            code = answer(webhook, line)
            webhook.requests.append(Request(line, self.headers, body, code))
            self.send_response(code)
            if code // 100 == 3:
                self.send_header("Location", "/elsewhere/200")
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    webhook = Webhook(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield webhook
    finally:
        server.shutdown()
        server.server_close()
