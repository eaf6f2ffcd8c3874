"""Stand between `dev` and an sshd, and be the bad network."""

from __future__ import annotations

import select
import socket
import struct
import threading
from contextlib import suppress

CHUNK = 1 << 14
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close sends RST in place of FIN


class Link:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        self._proxy = proxy
        self.client = client
        self.server: socket.socket | None = None
        self.sent = 0
        self.is_open = True

    def run(self) -> None:
        """Carry bytes both ways until one side ends."""
        self._proxy.flowing.wait()
        if self._proxy.is_silent or not self.is_open:
            return
        try:
            self.server = socket.create_connection(("127.0.0.1", self._proxy.target), timeout=10)
            self.server.settimeout(None)
        except OSError:
            self.close()
            return
        threading.Thread(target=self._pump, args=(self.server, self.client, False), daemon=True).start()
        self._pump(self.client, self.server, True)

    def _pump(self, source: socket.socket, sink: socket.socket, is_up: bool) -> None:
        with suppress(OSError):
            # A socket that another thread waits in is closed, and so reset, only when that wait ends.
            while self.is_open:
                if not select.select([source], [], [], 0.05)[0]:
                    continue
                data = source.recv(CHUNK)
                if not data:
                    break
                if is_up:
                    self._count(data)
                self._proxy.flowing.wait()
                sink.sendall(data)
        self.close()

    def _count(self, data: bytes) -> None:
        self.sent += len(data)
        if self._proxy.is_due(self):
            self.reset()

    def reset(self) -> None:
        """End it as a router does that lost its table: RST to both sides."""
        self.close(reset=True)

    def close(self, *, reset: bool = False) -> None:
        """End it for both sides."""
        self.is_open = False
        for end in (self.client, self.server):
            if end is None:
                continue
            with suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                else:
                    end.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                end.close()


class Proxy:
    """Carry TCP from a port of its own to `target`, and break it on demand."""

    def __init__(self, target: int) -> None:
        self.target = self._own_target = target
        self.flowing = threading.Event()
        self.flowing.set()
        self.is_silent = False
        self._cut_after = 0
        self._links: list[Link] = []
        self._fillers: list[socket.socket] = []
        self._listener = _listener(0)
        self.port: int = self._listener.getsockname()[1]
        self._serve()

    # --- faults

    def refuse(self) -> None:
        """Refuse connections, as a host does on which no sshd runs; those of earlier runs have ended."""
        self._stop_listening()
        self.reset()

    def swallow(self) -> None:
        """Drop each packet, as a firewall does: the queue of the listener is full and nobody empties it."""
        self.freeze()
        self._stop_listening()
        self._listener = _listener(self.port, backlog=0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def fall_silent(self) -> None:
        """Accept connections and never say a word, as a host does that hangs."""
        self.is_silent = True
        self.freeze()

    def freeze(self) -> None:
        """Hold every byte back, on what is open and what will be, without an end: a stopped proxy, a pulled cable."""
        self.flowing.clear()

    def thaw(self) -> None:
        """Let go what was held back."""
        self.flowing.set()

    def reset(self) -> None:
        """End every open connection with RST; new ones are carried."""
        for link in self.links:
            link.reset()

    def reset_after(self, sent: int) -> None:
        """End the next connection with RST once it has sent so many bytes; once."""
        self._cut_after = sent

    def lead_to(self, port: int) -> None:
        """Carry new connections to another sshd, in place of the host that has gone."""
        self.target = port
        self.reset()

    def heal(self) -> None:
        """Be a good network again; what was frozen is lost."""
        frozen = self.links if not self.flowing.is_set() or self.is_silent else []
        self.target, self.is_silent, self._cut_after = self._own_target, False, 0
        for link in frozen:
            link.reset()
        self.flowing.set()
        if self._fillers:
            self._stop_listening()
        if self._listener.fileno() == -1:
            self._listener = _listener(self.port)
            self._serve()

    # --- working

    @property
    def links(self) -> list[Link]:
        """The connections that are open."""
        self._links = [link for link in self._links if link.is_open]
        return list(self._links)

    def is_due(self, link: Link) -> bool:
        """Whether this is the connection to be cut, and it is time; answers yes once."""
        is_due = bool(self._cut_after) and link.sent >= self._cut_after
        if is_due:
            self._cut_after = 0
        return is_due

    def close(self) -> None:
        """End everything."""
        self.heal()
        self._stop_listening()
        self.reset()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                link = Link(self, client)
                self._links.append(link)
                threading.Thread(target=link.run, daemon=True).start()

    def _stop_listening(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for filler in self._fillers:
            filler.close()
        self._fillers = []


def _listener(port: int, backlog: int = 64) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(backlog)
    return listener
