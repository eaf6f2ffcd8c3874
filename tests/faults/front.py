"""Stand before a real registry, and be the bad one."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOP = ("connection", "transfer-encoding", "keep-alive")
CODES = {401: "UNAUTHORIZED", 403: "DENIED", 404: "MANIFEST_UNKNOWN", 429: "TOOMANYREQUESTS", 500: "UNKNOWN"}


class Front(ThreadingHTTPServer):
    """Pass requests on to `target`; what engines pull goes as `fault` says.

    `fault` is a status code, `slow`, `truncated`, `changed` (a layer with other bytes than its digest) or empty.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, target: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.target = target
        self.fault: int | str = ""
        self.pulled = 0
        self.log: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: who hangs up in the middle is often the point."""


class Handler(BaseHTTPRequestHandler):
    """Carry one request."""

    protocol_version = "HTTP/1.1"
    server: Front

    def carry(self) -> None:
        """Send the request on, and its answer back, unless it is one to go wrong."""
        self.server.log.append(f"{self.command} {self.path} {self.headers.get('User-Agent', '')[:20]}")
        self.close_connection = True
        fault = self.server.fault if self._is_pull() else ""
        body = self._body()
        if isinstance(fault, int):
            self._refuse(fault)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.target, timeout=60)
        with suppress(OSError):
            # Engines send one `Accept` a media type.
            names = {name for name in self.headers if name.lower() not in HOP}
            headers = {name: ", ".join(self.headers.get_all(name, [])) for name in names}
            upstream.request(self.command, self.path, body=body, headers=headers)
            self._answer(upstream.getresponse(), fault if "/blobs/" in self.path else "")
        upstream.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = carry  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _is_pull(self) -> bool:
        asks = self.command == "GET" and "/blobs/" in self.path
        asks |= self.command in ("GET", "HEAD") and "/manifests/" in self.path
        # `dev` itself asks for digests, with urllib.
        return asks and "docker/" in self.headers.get("User-Agent", "")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _refuse(self, code: int) -> None:
        told = json.dumps({"errors": [{"code": CODES[code], "message": f"the test says {code}"}]}).encode()
        self.send_response(code)
        if code == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(told)

    def _answer(self, answer: http.client.HTTPResponse, fault: int | str) -> None:
        data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in (*HOP, "content-length"):
                self.send_header(name, value)
        size = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(data))
        if size is not None:
            self.send_header("Content-Length", size)
        self.send_header("Connection", "close")
        self.end_headers()
        self._write(data, fault)

    def _write(self, data: bytes, fault: int | str) -> None:
        if fault == "changed":
            data = bytes((data[0] ^ 1,)) + data[1:]
        if fault == "truncated":
            data = data[: len(data) // 2]
        if fault != "slow":
            self.wfile.write(data)
            return
        for index in range(len(data)):
            if self.server.fault != "slow":
                self.wfile.write(data[index:])
                break
            self.server.pulled += 1
            self.wfile.write(data[index : index + 1])
            self.wfile.flush()
            time.sleep(0.2)
