"""What the watcher does about events, outages and locks, under both shells, with a stub of the engine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.hosts import scripts

SHELLS = (("dash",), ("busybox", "ash"))
STACK = "shop-1"
# A connection to an engine that is stopping waits in the queue of its socket (`frozen`); a connection to an engine that
# has ended fails (`down`). The stream of events ends with its generation of the engine.
ENGINE = """#!/bin/sh
cd {folder} || exit
while [ -e frozen ]; do sleep 0.02; done
[ ! -e down ] || {{ echo 'Cannot connect to the Docker daemon' >&2; exit 1; }}
[ "$1" = version ] || echo "$*" >>calls
case $1 in
  events)
    read -r generation <generation
    tail -n +1 -f "events.$generation" & trap 'kill $!' EXIT
    while read -r current <generation && [ "$current" = "$generation" ]; do sleep 0.05; done
    exit 1 ;;
  ps) ls containers ;;
  inspect)
    while [ "$1" != -- ]; do shift; done; shift
    for id; do cat "containers/$id" || {{ echo 'no such object' >&2; exit 1; }}; done ;;
  start)
    shift 2
    for id; do
      if [ -e "refused.$id" ]; then code=1; else sed -i 's/|exited|/|running|/' "containers/$id"; fi
    done
    exit "${{code:-0}}" ;;
esac
"""


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.03)


class Watched:
    """A stack with a good release, its engine, and the watcher of its host."""

    def __init__(self, home: Path, shell: tuple[str, ...]) -> None:
        self.home, self.shell = home, shell
        self.base, self.engine, self.programs = home / ".kamal-dev", home / "engine", home / "programs"
        self.folder, self.stack = self.base / ".watcher", self.base / STACK
        self.process: subprocess.Popen[bytes] | None = None
        self.generation = 0
        for folder in (self.folder, self.stack / "releases/r1/.kamal-dev", self.engine / "containers", self.programs):
            folder.mkdir(parents=True)
        (self.stack / "current").symlink_to("releases/r1")
        (self.stack / "releases/r1/.kamal-dev/good").write_text("worker up shop-1-worker-1\n")
        for name, text in scripts().items():
            (self.folder / name).write_text(text.replace("settle=2 again=15 retry=5", "settle=0.2 again=0.4 retry=0.2"))
        self.program("docker", ENGINE.format(folder=self.engine))
        self.new_engine()

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(text)
        path.chmod(0o755)

    def container(self, service: str, state: str = "running", *, policy: str = "on-failure", code: int = 0) -> str:
        """Put a container into this state; returns its id."""
        row = (
            f"{service}|{service}|{state}||{code}|0|{policy}|2026-01-01T00:00:00Z||{STACK}|{STACK}-{service}-1|||1||||x"
        )
        (self.engine / "containers" / service).write_text(f"{row}{{}}\n")
        return service

    def ends(self, service: str, *, by: str = "", code: int = 0) -> None:
        """Let a container end: by itself, or by a signal of the engine."""
        self.container(service, "exited", code=code)
        self.happens(*([f"{service} kill "] if by else []), f"{service} die {code}")

    def happens(self, *events: str) -> None:
        with (self.engine / f"events.{self.generation}").open("a") as stream:
            stream.write("".join(f"happened {STACK} {event}\n" for event in events))

    def new_engine(self) -> None:
        self.generation += 1
        (self.engine / f"events.{self.generation}").touch()
        (self.engine / "generation").write_text(f"{self.generation}\n")
        time.sleep(0.3)  # connections to the old one end at once, and the new one needs a moment

    def restart_engine(self) -> None:
        """Stop and start the engine, which ends the worker with 0."""
        (self.engine / "frozen").touch()
        self.ends("worker", by="engine")
        time.sleep(0.6)
        self.new_engine()
        (self.engine / "frozen").unlink()

    def start(self) -> None:
        variables = {"PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.home)}
        self.process = subprocess.Popen(
            [*self.shell, self.folder / "watcher.sh"],
            env={**variables, "DOCKER_HOST": "unix:///nowhere", "KAMAL_DEV_TOKEN": "watcher"},
            start_new_session=True,
        )

    def end(self) -> None:
        """End it as systemd does: all processes at once."""
        if self.process:
            (self.engine / "generation").write_text("over\n")
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def calls(self, verb: str) -> list[str]:
        calls = self.engine / "calls"
        return [line for line in calls.read_text().splitlines() if line.startswith(verb)] if calls.exists() else []

    @property
    def running(self) -> list[str]:
        path = self.stack / "running"
        return path.read_text().split() if path.exists() else []

    def is_running(self, service: str) -> bool:
        return "|running|" in (self.engine / "containers" / service).read_text()

    def watch(self) -> None:
        """Start the watcher, and wait until it has recorded what runs."""
        self.start()
        expected = [path.name for path in sorted((self.engine / "containers").iterdir()) if self.is_running(path.name)]
        wait_for("what runs is recorded", lambda: self.running == expected)

    def settles(self) -> None:
        """Wait for another check of the stack."""
        before = len(self.calls("inspect"))
        self.happens("worker start ")
        wait_for("the stack is checked", lambda: len(self.calls("inspect")) > before and not self.pending())

    def pending(self) -> bool:
        return (self.folder / "pending" / STACK).exists()


@pytest.fixture(params=SHELLS, ids=lambda shell: shell[-1])
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    assert shutil.which(request.param[0])
    watched = Watched(tmp_path, request.param)
    yield watched
    watched.end()


def test_a_host_that_boots_starts_what_ran_before_and_nothing_else(watched: Watched) -> None:
    for service in ("worker", "paused", "stopped", "own", "completed", "again"):
        watched.container(service, "exited", policy="no" if service == "own" else "on-failure")
    watched.container("again")
    (watched.stack / "stopped").write_text("stopped\n")
    (watched.stack / "running").write_text("worker\nstopped\nown\nagain\npaused\nremoved\n")
    (watched.folder / "boot").write_text("another\n")
    watched.start()
    wait_for("the worker runs", lambda: watched.is_running("worker"))
    wait_for("what runs is recorded", lambda: watched.running == ["again", "paused", "worker"])
    assert watched.calls("start") == ["start -- paused worker"]


def test_a_watcher_that_is_replaced_starts_nothing(watched: Watched) -> None:
    watched.container("worker")
    watched.watch()
    wait_for("the boot is recorded", (watched.folder / "boot").exists)
    watched.end()
    watched.container("worker", "exited")
    watched.new_engine()
    watched.start()
    wait_for("what runs is recorded", lambda: watched.running == [])
    assert watched.calls("start") == []


def test_an_engine_that_restarts_is_followed_by_the_start_of_what_it_stopped(watched: Watched) -> None:
    watched.container("worker")
    watched.watch()
    for _ in range(2):
        watched.restart_engine()
        wait_for("the worker runs again", lambda: watched.is_running("worker"))
        wait_for("it is recorded", lambda: not list((watched.folder / "outage").iterdir()))
        assert watched.running == ["worker"]
    assert watched.calls("start") == ["start -- worker"] * 2
    assert not (watched.stack / "alerts.log").exists()


def test_a_watcher_that_ends_during_an_outage_leaves_it_to_the_next(watched: Watched) -> None:
    watched.container("worker")
    watched.watch()
    (watched.engine / "down").touch()
    watched.ends("worker", by="engine")
    watched.new_engine()
    wait_for("the outage is noticed", lambda: not (watched.folder / "boot").exists())
    watched.end()
    watched.new_engine()
    (watched.engine / "down").unlink()
    watched.start()
    wait_for("the worker runs again", lambda: watched.is_running("worker"))


def test_what_has_completed_is_not_started_again_however_soon_the_engine_restarts(watched: Watched) -> None:
    watched.container("seed")
    watched.container("worker")
    watched.watch()
    (watched.engine / "frozen").touch()
    watched.ends("seed")
    watched.ends("worker", by="engine")
    wait_for("the end of the seed is noted", lambda: watched.running == ["worker"])
    watched.new_engine()
    (watched.engine / "frozen").unlink()
    wait_for("the worker runs again", lambda: watched.is_running("worker"))
    assert watched.calls("start") == ["start -- worker"]


def test_what_somebody_stopped_by_hand_stays_stopped(watched: Watched) -> None:
    watched.container("other")
    watched.container("worker")
    watched.watch()
    watched.ends("other", by="hand")
    wait_for("that it was stopped is recorded", lambda: watched.running == ["worker"])
    watched.restart_engine()
    wait_for("the worker runs again", lambda: watched.is_running("worker"))
    assert watched.calls("start") == ["start -- worker"]


def test_a_locked_stack_is_started_after_the_change(watched: Watched) -> None:
    watched.container("worker")
    watched.watch()
    with subprocess.Popen(["sleep", "60"]) as owner:
        started = Path(f"/proc/{owner.pid}/stat").read_text().rpartition(") ")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        (watched.stack / "lock").mkdir()
        (watched.stack / "lock/owner").write_text(f"{owner.pid}\n{started}\n{boot}\nnow\napply\n")
        watched.restart_engine()
        wait_for("the engine is followed", lambda: len(watched.calls("events")) == 2)
        time.sleep(1)
        assert watched.calls("start") == []
        owner.kill()
    # Its lock is that of a dead process now, as after a reboot.
    wait_for("the worker runs again", lambda: watched.is_running("worker"))


def test_a_start_that_fails_is_tried_again(watched: Watched) -> None:
    watched.container("worker")
    watched.watch()
    (watched.engine / "refused.worker").touch()
    watched.restart_engine()
    wait_for("it is tried", lambda: len(watched.calls("start")) >= 4)
    assert watched.running == ["worker"]
    (watched.engine / "refused.worker").unlink()
    wait_for("the worker runs again", lambda: watched.is_running("worker"))
    assert not (watched.stack / "alerts.log").exists()
