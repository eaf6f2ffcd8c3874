"""A link that a host no longer answers on is closed; one that is only quiet stays."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import cast

import paramiko
import pytest

from kamal_dev.model import Host
from kamal_dev.shell import connecting, openssh
from kamal_dev.shell.trust import Trust
from kamal_dev.shell.way import way


class Link:
    """A transport whose host answers so many questions, and then no more."""

    def __init__(self, answers: int, *, ends_after: int = 100) -> None:
        self.answers, self.ends_after = answers, ends_after
        self.questions: list[tuple[str, bool]] = []
        self.closed = threading.Event()

    def is_active(self) -> bool:
        return not self.closed.is_set() and len(self.questions) < self.ends_after

    def global_request(self, kind: str, wait: bool) -> None:
        self.questions.append((kind, wait))
        if len(self.questions) > self.answers:
            self.closed.wait(30)

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting.time, "sleep", lambda seconds: None)


def watched(link: Link, patience: float) -> None:
    connecting._keep_alive(cast(paramiko.Transport, link), cast(int, patience))


def test_a_link_whose_host_stops_answering_is_closed() -> None:
    link = Link(answers=3)
    watched(link, 0.05)
    assert link.closed.is_set()
    # Paramiko's own keepalive waits for no answer: a frozen link would look alive.
    assert link.questions == [("keepalive@openssh.com", True)] * 4


def test_a_link_whose_host_answers_is_asked_until_it_ends_and_closed_by_nobody() -> None:
    link = Link(answers=100, ends_after=5)
    watched(link, 10)
    assert (len(link.questions), link.closed.is_set()) == (5, False)


def test_ssh_itself_notices_too_that_a_host_is_silent() -> None:
    hop = Host("blog-1", "10.0.0.1", proxy_jump="bastion")
    words = openssh.options(way(hop, Trust(Path("/known"), read_ssh_config=False, connect_timeout=7)))
    assert "ServerAliveInterval=15" in words
    assert "ConnectTimeout=7" in words
    (outer,) = [word for word in words if word.startswith("ProxyCommand=")]
    assert "ServerAliveInterval=15" in outer


def test_a_program_that_takes_over_ends_when_nobody_reads_it() -> None:
    # Python ignores SIGPIPE; `dev ssh … | head` would not end if ssh did so too.
    script = "from kamal_dev.shell.openssh import become; become(('cat', '/proc/self/status'))"
    ended = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    (ignored,) = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("SigIgn:")]
    assert not int(ignored, 16) & 1 << (signal.SIGPIPE - 1)
