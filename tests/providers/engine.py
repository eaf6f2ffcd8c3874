"""A Docker Engine on paper: knows containers, and answers the steps of the docker provider."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from kamal_dev.model import Host, Result, Step
from kamal_dev.providers import Provider


def ensured(provider: Provider, *names: str) -> tuple[Host, ...]:
    """Make hosts, and return them; one that could not be made is none of them."""
    return tuple(host for host in provider.ensure(names).values() if isinstance(host, Host))


class Banner:
    """Listen as sshd does, so that whoever waits for it is let go."""

    def __init__(self, text: bytes = b"SSH-2.0-OpenSSH_9.2\r\n") -> None:
        self._text = text
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.sendall(self._text)

    def close(self) -> None:
        # Wakes the thread that waits in accept; closing alone would not.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@dataclass
class Container:
    id: str
    labels: dict[str, str]
    state: str = "running"


@dataclass
class Engine:
    """Answer like the engine; `refuse` maps words of a command, the verb first, to what it says on failing."""

    port: int
    cgroup: str = "2"
    size: str = f"4 {8 << 30}"
    has_image: bool = True
    refuse: dict[str, str] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    ids: Iterator[int] = field(default_factory=count)
    before: Callable[[Step], None] = lambda step: None

    @property
    def transcript(self) -> str:
        """Every command, with what differs between runs of the tests made equal."""
        text = "".join(f"$ {step.text}\n" for step in self.steps)
        return re.sub(r"(project=|guestbook-\d-|host:|host:docker-)[0-9a-f]{8,12}\b", r"\g<1>HASH", text)

    def run(self, step: Step, **_: Any) -> Result:
        """Do a step, as a shell would; `before` may change the world first."""
        self.steps.append(step)
        self.before(step)
        words = step.argv[1:]
        for asked, message in self.refuse.items():
            if words[0] == asked.split()[0] and set(asked.split()) <= set(words):
                return Result(step, 1, errors=message)
        verb = getattr(self, f"_{words[0]}", None)
        output = verb(words) if verb else ""
        return Result(step, 0, output) if output is not None else Result(step, 1, errors="no such thing")

    def _ps(self, words: tuple[str, ...]) -> str:
        wanted = dict(word.removeprefix("label=").split("=", 1) for word in words if word.startswith("label="))
        rows = [box for box in self.containers.values() if wanted.items() <= box.labels.items()]
        return "".join(self._row(box) for box in rows)

    def _row(self, box: Container) -> str:
        ports = f"127.0.0.1:{self.port}->22/tcp" if box.state == "running" else ""
        return f"{box.id}\t{box.labels['kamal-dev.host']}\t{box.state}\t{ports}\n"

    def _run(self, words: tuple[str, ...]) -> str:
        labels = dict(word.removeprefix("--label=").split("=", 1) for word in words if word.startswith("--label="))
        box = Container(f"c0ffee{next(self.ids)}", labels)
        self.containers[box.id] = box
        return f"{box.id}\n"

    def _start(self, words: tuple[str, ...]) -> str:
        self.containers[words[1]].state = "running"
        return ""

    _unpause = _start

    def _rm(self, words: tuple[str, ...]) -> str:
        self.containers.pop(words[-1], None)
        return ""

    def _exec(self, words: tuple[str, ...]) -> str:
        return "ssh-ed25519 AAAAhostkey root@host\n"

    def _info(self, words: tuple[str, ...]) -> str:
        return f"{self.cgroup} {self.size} /nowhere\n"

    def _context(self, words: tuple[str, ...]) -> str:
        return "default\n"

    def _image(self, words: tuple[str, ...]) -> str | None:
        return "[]\n" if self.has_image else None


def listed(provider: Provider) -> tuple[Host, ...]:
    """Return the hosts that exist."""
    return tuple(host for _, host in provider.stacks())
