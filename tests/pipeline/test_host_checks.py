"""What `dev doctor` says of a host, from what the host told of itself."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kamal_dev.commands.facts import Facts
from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host, Result, Step
from kamal_dev.pipeline.hosts.checks import host_checks, judged
from kamal_dev.shell.recorder import Recorder
from tests.pipeline.test_doctor import FACTS, opened, root

__all__ = ["root"]
READY = Facts(user="dev", privilege="none", engine="28.0", compose="2.40.0", has_engine=True, daemon=True)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            READY,
            "! host of a-1: Docker 28.0, Compose 2.40.0, 0 GB free, as `dev`; not watched\n  hint: without",
        ),
        (
            replace(READY, watcher="missing"),
            "! host of a-1: Docker 28.0, Compose 2.40.0, 0 GB free, as `dev`; not watched",
        ),
        (replace(READY, watcher="missing", privilege="sudo"), "✓ host of a-1: Docker 28.0"),
        (replace(READY, watcher="1"), "✓ host of a-1: Docker 28.0, Compose 2.40.0, 0 GB free, as `dev`"),
        (Facts(trouble="Docker is not installed", privilege="root"), "! host of a-1: Docker is not installed"),
        (Facts(trouble="Docker is not installed", privilege="none"), "✗ host of a-1: Docker is not installed"),
        (Facts(trouble="it is down", privilege="root", has_engine=True), "✗ host of a-1: it is down"),
        (Facts(daemon=True, compose="2.20.0", has_engine=True), "✗ host of a-1: Compose is 2.20.0, and 2.24.4"),
        (
            Facts(unwritable="the file system of / is read-only"),
            "✗ host of a-1: `~/.kamal-dev` cannot be written: the file",
        ),
        (Facts(lacks=("flock", "stat -c")), "✗ host of a-1: missing programs: flock, stat -c"),
        (HostUnreachable("a-1", "no SSH at 10.0.0.1:22", hint="is it up?"), "✗ host of a-1: no SSH at 10.0.0.1:22"),
    ],
)
def test_a_host_is_judged_by_what_a_deploy_would_meet(facts: Facts | HostUnreachable, said: str) -> None:
    assert str(judged("a-1", facts)).startswith(said)


def test_hosts_are_asked_all_at_once_and_one_that_fails_is_no_end_for_the_others(root: Path) -> None:
    run = opened(root)
    together = threading.Barrier(2, timeout=10)

    def answer(host: Host, step: Step) -> Result:
        together.wait()
        if host.name == "blog-1":
            raise HostUnreachable(host.name, "no SSH")
        return Result(step, 0, FACTS)

    run.__dict__["remote"] = lambda host: Recorder(host.name, lambda step: answer(host, step))
    summary, first, second = map(str, host_checks(run.project, run.stacks, run.connections, only_warns=False))
    assert summary == "✗ hosts: 1 of 2 hosts answer"
    assert first == "✗ host of blog-1: no SSH"
    assert second.startswith("! host of blog-2: Docker 28.0")
