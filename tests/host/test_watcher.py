"""What the watcher does about events, outages and locks, with a stub of the engine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
    echo $$ >"ended.$generation"
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


def wait_for(what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
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
        for folder in (self.folder, self.engine / "containers", self.programs):
            folder.mkdir(parents=True)
        self.add(STACK)
        for name, text in scripts().items():
            (self.folder / name).write_text(text.replace("settle=2 again=15 retry=5", "settle=0.2 again=0.4 retry=0.2"))
        self.program("docker", ENGINE.format(folder=self.engine))
        self.new_engine()

    def add(self, stack: str) -> None:
        """Add another stack with a good release and the same containers."""
        known = self.base / stack / "releases/r1/.kamal-dev"
        known.mkdir(parents=True)
        (known.parents[2] / "current").symlink_to("releases/r1")
        (known / "good").write_text(f"worker up {STACK}-worker-1\n")

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
        old = self.generation
        self.generation += 1
        (self.engine / f"events.{self.generation}").touch()
        (self.engine / "generation").write_text(f"{self.generation}\n")
        if self.process:
            wait_for("the stream of the old one ends", lambda: self.has_ended(old))
            time.sleep(0.3)  # the new one needs longer to start

    def has_ended(self, generation: int) -> bool:
        """Whether the process of its events is gone: until then, the watcher takes what it sees for that engine's."""
        path = self.engine / f"ended.{generation}"
        pid = path.read_text().strip() if path.exists() else ""
        return bool(pid) and not Path(f"/proc/{pid}").exists()

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

    def save_baseline(self) -> None:
        """Do what ends each change of the stack."""
        sources = "\n".join(f'. "$here/{name}.sh"' for name in ("lib", "stack", "observe"))
        script = f"here={self.folder}\n{sources}\nuse_stack {STACK} && look_at_stack && save_baseline\n"
        environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "HOME": str(self.home)}
        environment["DOCKER_HOST"] = "unix:///nowhere"
        subprocess.run([*self.shell, "-c", script], env=environment, check=True)

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

    def is_asked(self) -> bool:
        """Whether a check waits for the engine."""
        words = map(_command_line, Path("/proc").glob("[0-9]*"))
        return any(str(self.programs).encode() in line and b"\0ps\0" in line for line in words)

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

    def notify(self, stack: str = STACK, **settings: str) -> None:
        """Set whom a stack notifies; the command is run in its folder of workspaces."""
        text = "".join(f"{key} {value}\n" for key, value in {"calm": "1", **settings}.items())
        (self.base / stack / "current/kamal-dev.notify").write_text(text)
        (self.base / stack / "workspace").mkdir(exist_ok=True)

    def alerts(self, stack: str = STACK) -> list[tuple[str, str, str]]:
        """Return state, service and reason of each alert."""
        path = self.base / stack / "alerts.log"
        entries = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
        return [(entry["state"], entry["service"], entry["reason"]) for entry in entries]

    @contextmanager
    def locked(self) -> Iterator[subprocess.Popen[bytes]]:
        """Hold the lock of the stack."""
        with subprocess.Popen(["sleep", "60"]) as owner:
            started = Path(f"/proc/{owner.pid}/stat").read_text().rpartition(") ")[2].split()[19]
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            (self.stack / "lock").mkdir()
            (self.stack / "lock/owner.new").write_text(f"{owner.pid}\n{started}\n{boot}\nnow\napply\n")
            (self.stack / "lock/owner.new").rename(self.stack / "lock/owner")
            yield owner
            owner.kill()


def _command_line(process: Path) -> bytes:
    with suppress(OSError):  # it may have ended
        return (process / "cmdline").read_bytes()
    return b""


both_shells = pytest.mark.parametrize("watched", SHELLS, indirect=True, ids=lambda shell: shell[-1])


@pytest.fixture
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    shell = getattr(request, "param", SHELLS[0])
    assert shutil.which(shell[0])
    watched = Watched(tmp_path, shell)
    yield watched
    watched.end()


@both_shells
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


@both_shells
def test_a_backup_that_an_outage_interrupted_is_finished_when_the_host_boots(watched: Watched) -> None:
    watched.container("worker", "exited")
    for name in ("stopped", "running"):
        (watched.stack / name).write_text("worker\n")
    (watched.stack / "underway").write_text("backup\nworker\n\n")
    (watched.folder / "boot").write_text("another\n")
    watched.start()
    wait_for("the worker runs", lambda: watched.is_running("worker"))
    assert not (watched.stack / "underway").exists()
    assert not (watched.stack / "stopped").exists()
    assert [call for call in watched.calls("compose") if call.endswith("start -- worker")]
    assert "a backup was interrupted; started its services" in (watched.stack / "audit.log").read_text()


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


@both_shells
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


def test_what_is_stopped_after_a_change_is_not_started_because_of_an_outage_before_it(watched: Watched) -> None:
    """The watcher that a first deploy installs notes the boot as an outage, and waits for the lock of the stack."""
    watched.container("worker")
    with watched.locked():
        watched.start()
        wait_for("the outage is noted", (watched.folder / "outage" / STACK).exists)
        watched.save_baseline()
        assert watched.running == ["worker"]
        watched.container("worker", "exited", code=137)
    (watched.stack / "lock/owner").unlink()
    (watched.stack / "lock").rmdir()
    watched.happens("worker kill ", "worker die 137")
    wait_for("the watcher has looked", lambda: watched.running == [])
    assert watched.calls("start") == []


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


@both_shells
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
    with watched.locked():
        watched.restart_engine()
        wait_for("the engine is followed", lambda: len(watched.calls("events")) == 2)
        time.sleep(1)
        assert watched.calls("start") == []
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


def test_a_change_that_begins_during_a_check_is_no_problem(watched: Watched) -> None:
    watched.container("worker")
    watched.watch()
    (watched.engine / "frozen").touch()
    watched.ends("worker", by="somebody", code=3)
    wait_for("a check waits for the engine", watched.is_asked)
    with watched.locked():
        (watched.engine / "frozen").unlink()
        time.sleep(1)
        assert watched.alerts() == []
    wait_for("it is told after the change", lambda: watched.alerts() != [])
    assert watched.alerts()[0][:2] == ("exited 3", "worker")


@both_shells
def test_events_before_a_look_that_fails_are_not_forgotten(watched: Watched) -> None:
    watched.container("worker")
    watched.watch()
    (watched.engine / "down").touch()
    watched.happens("worker oom ", "worker die 137")
    time.sleep(1)
    watched.container("worker", "exited", code=137)
    (watched.engine / "down").unlink()
    wait_for("it is told", lambda: watched.alerts() != [])
    assert watched.alerts() == [("exited 137", "worker", "out of memory: exited with code 137")]


def test_an_engine_that_stays_away_is_told_once_for_its_host(watched: Watched) -> None:
    watched.add("shop-2")
    watched.container("worker")
    watched.watch()
    watched.notify(repeat="600")
    watched.notify("shop-2", repeat="600")
    (watched.engine / "down").touch()
    watched.new_engine()
    wait_for("it is told", lambda: watched.alerts() != [])
    ((state, service, reason),) = watched.alerts()
    assert (state, service) == ("engine", "")
    assert "Docker at unix:///nowhere is not responding" in reason
    time.sleep(1.5)
    (watched.engine / "down").unlink()
    wait_for("it has recovered", lambda: len(watched.alerts()) == 2)
    assert watched.alerts()[1][:2] == ("recovered", "")
    assert watched.alerts("shop-2") == []


def test_a_full_disk_is_told_once_for_its_host_and_to_others_too(watched: Watched) -> None:
    for stack in ("shop-2", "shop-3"):
        watched.add(stack)
    watched.program("df", "#!/bin/sh\necho Filesystem\necho '/dev/vda1 1 1 1 97% /'\n")
    watched.container("worker")
    watched.notify(command="cat >>told")
    watched.notify("shop-2", command="cat >>told")
    watched.notify("shop-3", command="cat >>told", disk="80")
    watched.watch()
    wait_for("it is told", lambda: watched.alerts() != [] and watched.alerts("shop-3") != [])
    ((state, service, reason),) = watched.alerts()
    assert (state, service) == ("disk", "")
    assert reason == f"/ on {os.uname().nodename} is 97% full; `notify.disk` is 90%"
    watched.program("df", "#!/bin/sh\necho Filesystem\necho '/dev/vda1 1 1 1 7% /'\n")
    wait_for("it has recovered", lambda: len(watched.alerts()) == 2)
    assert watched.alerts()[1] == ("recovered", "", f"no disk of {os.uname().nodename} is 90% full")
    assert watched.alerts("shop-2") == []


@both_shells
def test_a_watcher_delivers_what_an_earlier_one_could_not(watched: Watched) -> None:
    watched.container("worker")
    watched.notify(command="[ -f ready ] || { echo >>tried; exit 1; }; cat >>told")
    watched.watch()
    watched.ends("worker", by="somebody", code=3)
    letters = watched.folder / "letters"
    wait_for("it is tried", (watched.stack / "workspace/tried").exists)
    watched.end()
    assert len(list(letters.iterdir())) == 1
    (watched.stack / "workspace/ready").touch()
    watched.new_engine()
    watched.start()
    wait_for("the letter is gone", lambda: list(letters.iterdir()) == [])
    (alert,) = map(json.loads, (watched.stack / "workspace/told").read_text().splitlines())
    assert (alert["service"], alert["state"]) == ("worker", "exited 3")
