"""Stacks are steered day by day: commands in several, stop, start, restart, scale. Two stacks on two hosts."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest

from tests.real.lab import DEV, Ended, Host, Lab, Repository, wait_for

COMPOSE = """\
services:
  app:
    build: .
    restart: always
  db:
    image: debian:12
    stop_signal: SIGKILL
    command: [sleep, infinity]
    volumes: [data:/data]
    expose: ["5432"]
  worker:
    image: debian:12
    stop_signal: SIGKILL
    command: [sleep, infinity]
    depends_on: [db]
volumes:
  data:
"""
DOCKERFILE = """\
FROM debian:12
STOPSIGNAL SIGKILL
RUN useradd --create-home --uid 1500 worker && mkdir /srv/work && chown worker /srv/work
COPY message /message
CMD ["sleep", "infinity"]
"""
DEVCONTAINER = {
    "dockerComposeFile": "compose.yaml",
    "service": "app",
    "remoteUser": "worker",
    "workspaceFolder": "/srv/work",
    "postStartCommand": "echo started >>/tmp/starts",
}


class Steered:
    """Two stacks, and the hosts that they are on."""

    def __init__(self, repository: Repository, hosts: tuple[Host, ...]) -> None:
        self.repository, self.hosts = repository, hosts
        self.one, self.two = repository.stack(1), repository.stack(2)
        self.dev = repository.dev

    def states(self) -> dict[str, str]:
        return {stack["stack"]: stack["state"] for stack in self.dev("list", "--json").json}

    def status(self, stack: str, code: int = 0) -> dict[str, list[str]]:
        (found,) = self.dev("status", stack, "--json", code=code).json
        services: dict[str, list[str]] = {}
        for container in found["containers"]:
            services.setdefault(container["service"], []).append(container["state"])
        return services

    def starts(self) -> int:
        """How often postStartCommand ran in the first stack."""
        return self.dev("exec", self.one, "--", "cat", "/tmp/starts").stdout.count("started")


class Terminal:
    """`dev` with a terminal of its own."""

    def __init__(self, steered: Steered, *words: str) -> None:
        argv = (DEV, *words)
        self._process, self._stream = pty.fork()
        if self._process == 0:
            os.chdir(steered.repository.root)
            os.execve(argv[0], argv, {**steered.repository.variables(), "TERM": "xterm"})
        self.resize(24, 80)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stream)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._stream, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def write(self, text: str) -> None:
        os.write(self._stream, text.encode())

    def until(self, text: str, seconds: float = 60) -> str:
        """Read until the text was printed, or the end."""
        printed, deadline = "", time.monotonic() + seconds
        while not text or text not in printed:
            assert time.monotonic() < deadline, printed
            if select.select([self._stream], [], [], 0.2)[0]:
                try:
                    printed += os.read(self._stream, 4096).decode(errors="replace")
                except OSError:
                    break
        return printed

    def printed(self, seconds: float) -> str:
        """Return what is printed next, within this time."""
        return (
            os.read(self._stream, 4096).decode(errors="replace")
            if select.select([self._stream], [], [], seconds)[0]
            else ""
        )

    def code(self) -> int:
        """Read to the end, and return the exit code."""
        self.until("")
        return os.waitstatus_to_exitcode(os.waitpid(self._process, 0)[1])


@pytest.fixture(scope="module")
def steered(lab: Lab, hosts: tuple[Host, ...]) -> Steered:
    files = {".devcontainer/devcontainer.json": json.dumps(DEVCONTAINER), ".devcontainer/Dockerfile": DOCKERFILE}
    repository = lab.small("steer", hosts[:2], files, compose=COMPOSE)
    repository.deploy("--skip-push", "--yes")
    return Steered(repository, hosts[:2])


def result(ended: Ended) -> dict[str, Any]:
    """The last line of `--json`."""
    data: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return data


def test_a_command_in_one_stack_has_its_exit_code_and_stdin(steered: Steered) -> None:
    assert steered.dev("exec", steered.one, "--", "sh", "-c", "echo out; exit 7", code=7).stdout == "out\n"
    assert steered.dev("exec", steered.two, "db", "--", "ls", "/data").stdout == ""
    argv = (DEV, "exec", steered.one, "--", "tr", "a-z", "A-Z")
    root = steered.repository.root
    assert subprocess.run(argv, input=b"piped", capture_output=True, check=True, cwd=root).stdout == b"PIPED"
    assert "put it after `--`" in steered.dev("exec", steered.one, "ls", code=2).stderr


def test_a_command_in_all_stacks_is_prefixed_and_ends_with_the_highest_code(steered: Steered) -> None:
    command = ("--", "sh", "-c", "echo out; echo err >&2; exit $(hostname | wc -c)")
    refused = steered.dev("exec", *command, code=2)
    assert f"Run the command in {steered.one}, {steered.two}?" in refused.stderr
    ended = steered.dev("exec", "--yes", "worker", *command, code=13)
    assert sorted(ended.stdout.splitlines()) == sorted(
        f"{stack} | {word}" for stack in (steered.one, steered.two) for word in ("out", "err")
    )


def test_a_command_in_one_stack_has_the_terminal(steered: Steered) -> None:
    script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.1; done"
    with Terminal(steered, "exec", steered.one, "--", "sh", "-c", script) as terminal:
        assert "24 80" in terminal.until("24 80")
        for attempt in range(20):
            # The client of the engine watches the size only some time after the command has begun.
            terminal.resize(40, 100 + attempt)
            if "40 1" in terminal.printed(3):
                break
        else:
            pytest.fail("the command does not learn of a new size")
        terminal.write("\x03")
        assert terminal.code() == 130
    with Terminal(steered, "exec", steered.one, "db", "--", "sh", "-c", "tty; read word; exit 7") as terminal:
        assert "/dev/pts" in terminal.until("pts")
        terminal.write("word\n")
        assert terminal.code() == 7


def test_a_detached_command_is_not_waited_for(steered: Steered) -> None:
    steered.dev("exec", steered.one, "-d", "--", "sh", "-c", "sleep 2; touch /tmp/detached")
    container = steered.hosts[0].containers(steered.one)["app"]["Id"]
    wait_for("the command", lambda: steered.hosts[0].says(f"docker exec {container} test -f /tmp/detached"))


def test_a_stack_is_stopped_on_purpose_and_started_again(steered: Steered) -> None:
    steered.dev("exec", steered.one, "db", "--", "sh", "-c", "echo kept >/data/file")
    before = steered.starts()
    assert "add `--yes`" in steered.dev("stop", code=2).stderr
    ended = steered.dev("stop", steered.one, "--json")
    assert (result(ended)["verb"], result(ended)["stacks"][0]["state"]) == ("stop", "stopped")
    assert steered.states() == {steered.one: "stopped", steered.two: "up"}
    assert steered.status(steered.one) == {"app": ["stopped"], "db": ["stopped"], "worker": ["stopped"]}
    assert set(steered.hosts[0].states(steered.one)) == {"app", "db", "worker"}, "containers stay"
    started = steered.dev("start", steered.one)
    assert "✓ up (app, db, worker)" in started.stdout
    assert steered.states()[steered.one] == "up"
    assert steered.dev("exec", steered.one, "db", "--", "cat", "/data/file").stdout == "kept\n"
    assert steered.starts() == before + 1


def test_a_stopped_stack_is_started_by_who_enters_it(steered: Steered) -> None:
    steered.dev("stop", steered.one)
    entered = steered.dev("ssh", steered.one, "--", "echo", "inside")
    assert entered.stdout == "inside\n"
    assert "Starting it, because it was stopped" in entered.stderr
    assert steered.status(steered.one)["db"] == ["stopped"], "only what is needed is started"
    plan = steered.dev("plan", steered.one, "--skip-build")
    assert "stopped by `dev stop`" in plan.stdout
    steered.repository.deploy(steered.one, "--skip-push", "--skip-build", "--yes")
    assert steered.status(steered.one) == {"app": ["up"], "db": ["up"], "worker": ["up"]}


def test_a_start_starts_what_crashed_and_a_crash_is_not_mistaken_for_a_stop(steered: Steered) -> None:
    worker, app = (steered.hosts[0].containers(steered.one)[name]["Id"] for name in ("worker", "app"))
    steered.hosts[0].run(f"docker kill {worker}")
    steered.dev("restart", steered.one, "db")
    assert steered.dev("status", steered.one, "--json", code=1).json[0]["state"] == "degraded", (
        "only what is named counts"
    )
    steered.dev("start", steered.one)
    assert steered.status(steered.one) == {"app": ["up"], "db": ["up"], "worker": ["up"]}
    steered.dev("stop", steered.one, "worker")
    steered.hosts[0].run(f"docker kill {app}")
    entered = steered.dev("exec", steered.one, "--", "true", code=1)
    assert "is not up: it exited" in entered.stderr
    steered.dev("start", steered.one)
    assert steered.status(steered.one) == {"app": ["up"], "db": ["up"], "worker": ["up"]}


def test_a_restart_of_another_service_keeps_pending_lifecycle_commands(steered: Steered) -> None:
    home = f"~/.kamal-dev/{steered.one}"
    before = steered.starts()
    steered.hosts[0].run(
        f"touch {home}/current/.kamal-dev/unfinished; rm {home}/lifecycle/finished {home}/lifecycle/*/post*"
    )
    assert steered.states()[steered.one] == "unfinished"
    steered.dev("restart", steered.one, "db")
    assert steered.states()[steered.one] == "unfinished"
    assert steered.starts() == before
    steered.dev("restart", steered.one)
    assert (steered.states()[steered.one], steered.starts()) == ("up", before + 1)


def test_one_service_is_stopped_and_restarted(steered: Steered) -> None:
    before = steered.hosts[1].started(steered.two)
    steered.dev("restart", steered.two, "db")
    after = steered.hosts[1].started(steered.two)
    assert (after["app"], after["worker"]) == (before["app"], before["worker"])
    assert after["db"] != before["db"]
    steered.dev("stop", steered.two, "worker")
    assert steered.status(steered.two) == {"app": ["up"], "db": ["up"], "worker": ["stopped"]}
    steered.dev("restart", "--yes")
    assert steered.status(steered.two)["worker"] == ["up"]


def test_a_service_is_scaled_and_stays_so(steered: Steered) -> None:
    assert "the main service `app`" in steered.dev("scale", steered.one, "app=2", code=2).stderr
    steered.dev("scale", steered.one, "worker=3")
    assert steered.status(steered.one)["worker"] == ["up"] * 3
    assert steered.states()[steered.one] == "up"
    again = steered.repository.deploy(steered.one, "--skip-push", "--skip-build", "--yes")
    assert again.text.count("already running") == 1, str(again)
    steered.dev("stop", steered.one)
    assert "worker ×3" in steered.dev("start", steered.one).stdout
    assert steered.status(steered.one)["worker"] == ["up"] * 3
    steered.dev("scale", steered.one, "worker=1")
    assert steered.status(steered.one)["worker"] == ["up"]


def test_compose_runs_on_the_release(steered: Steered) -> None:
    one = steered.dev("compose", steered.one, "--", "ps", "--services")
    assert sorted(one.stdout.split()) == ["app", "db", "worker"]
    everywhere = steered.dev("compose", "--", "config", "--services").stdout.splitlines()
    assert f"{steered.two} | db" in everywhere
    assert "add `--yes`" in steered.dev("compose", steered.one, "--", "down", "-v", code=2).stderr
    assert "a release has fixed images" in steered.dev("compose", steered.one, "--", "build", code=2).stderr
    steered.dev("compose", steered.one, "--", "restart", "worker")
    assert steered.dev("compose", steered.one, "--", "exec", "-T", "db", "sh", "-c", "exit 5", code=5).stdout == ""
    steered.dev("compose", steered.one, "--", "up", timeout=60)
    assert not steered.hosts[0].says(f"test -e ~/.kamal-dev/{steered.one}/lock/owner"), "the lock is released"


def test_compose_is_interrupted_with_ctrl_c(steered: Steered) -> None:
    with Terminal(steered, "compose", steered.one, "--", "logs", "-f") as terminal:
        wait_for("Compose", lambda: steered.hosts[0].says("ps ax | grep -q '[-]-project-name.*logs -f'"))
        terminal.write("\x03")
        assert terminal.code() == 130
    with Terminal(steered, "compose", steered.two, "--", "exec", "-T", "db", "true") as terminal:
        assert terminal.code() == 0


def test_services_are_listed_with_what_runs_of_them(steered: Steered) -> None:
    listed = {item["service"]: item for item in steered.dev("services", "--json").json}
    assert listed["worker"]["depends_on"] == ["db"]
    assert (listed["app"]["main"], listed["db"]["image"]) == (True, "debian:12")
    here = steered.dev("services", steered.one, "--json").json
    assert [(item["stack"], item["service"], item["state"]) for item in here] == [
        (steered.one, name, "up") for name in ("app", "db", "worker")
    ]
    assert "app (main)" in steered.dev("services").stdout


def test_a_script_waits_for_a_stack_a_port_and_an_end(steered: Steered) -> None:
    steered.dev("wait", steered.one)
    late = steered.dev("wait", steered.one, "db", "--for", "port=5432", "--timeout", "1", code=1)
    assert f"`db` of {steered.one} is not listening on port 5432 after 1 s" in late.stderr
    server = (
        "use Socket; socket S, PF_INET, SOCK_STREAM, 0; bind S, sockaddr_in(5432, INADDR_ANY); listen S, 1; sleep 60"
    )
    steered.dev("exec", steered.one, "db", "-d", "--", "perl", "-e", server)
    steered.dev("wait", steered.one, "db", "--for", "port=5432", "--timeout", "30")
    steered.dev("stop", steered.two, "db")
    steered.dev("wait", steered.two, "db", "--for", "exited", "--timeout", "10", code=137)
    steered.dev("start", steered.two)
    assert "is not a condition" in steered.dev("wait", steered.one, "--for", "up", code=2).stderr


def test_files_are_copied_both_ways_with_their_modes(steered: Steered, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/script").write_text("#!/bin/sh\n" + "x" * 200_000)
    (tmp_path / "folder/script").chmod(0o750)
    (tmp_path / "folder/link").symlink_to("script")
    steered.dev("cp", str(tmp_path / "folder"), f"{steered.one}:")
    shown = steered.dev("exec", steered.one, "--", "stat", "-c", "%U %a %F", "folder/script", "folder/link").stdout
    assert shown.splitlines() == ["worker 750 regular file", "worker 777 symbolic link"]
    steered.dev("cp", f"{steered.one}:folder", str(tmp_path / "back"))
    assert (tmp_path / "back/script").read_text() == (tmp_path / "folder/script").read_text()
    assert (tmp_path / "back/script").stat().st_mode & 0o777 == 0o750
    assert (tmp_path / "back/link").is_symlink()
    (tmp_path / "note").write_text("hello\n")
    steered.dev("cp", str(tmp_path / "note"), f"{steered.two}:db:/tmp/renamed")
    assert steered.dev("exec", steered.two, "db", "--", "cat", "/tmp/renamed").stdout == "hello\n"
    (tmp_path / "large").write_bytes(os.urandom(9_000_000))
    sent = steered.dev("cp", str(tmp_path / "large"), f"{steered.one}:db:/tmp/")
    received = steered.dev("cp", f"{steered.one}:db:/tmp/large", str(tmp_path / "again"))
    assert "Copied `large` in" in sent.stderr and "Copied `large` in" in received.stderr, "it takes long"
    assert (tmp_path / "again").read_bytes() == (tmp_path / "large").read_bytes()
    memory = steered.dev("cp", str(tmp_path / "note"), f"{steered.one}:db:/dev/shm/", code=1)
    assert "/dev/shm is in memory" in memory.stderr, "Docker would write it below the mount, and say nothing"
    missing = steered.dev("cp", f"{steered.one}:nothing", str(tmp_path), code=1)
    assert "there is no file /srv/work/nothing in the container" in missing.stderr
    assert (
        "there is no folder /srv/work/no/such"
        in steered.dev("cp", str(tmp_path / "note"), f"{steered.one}:no/such/note", code=1).stderr
    )


def test_dev_alone_shows_the_stacks_and_what_is_next(steered: Steered) -> None:
    shown = steered.dev().stdout
    assert steered.one in shown
    assert f"Next: `dev ssh {steered.one}`" in shown


def test_a_copy_follows_the_link_that_it_is_given(steered: Steered, tmp_path: Path) -> None:
    (tmp_path / "a target").write_text("one\n")
    (tmp_path / "a link").symlink_to("a target")
    steered.dev("cp", str(tmp_path / "a link"), f"{steered.one}:")
    assert steered.dev("exec", steered.one, "--", "cat", "a link").stdout == "one\n"
    steered.dev("exec", steered.one, "--", "sh", "-c", "echo two >a-file; ln -sfn a-file current; mkfifo pipe")
    steered.dev("cp", f"{steered.one}:current", str(tmp_path))
    assert (tmp_path / "current").read_text() == "two\n"
    steered.dev("cp", str(tmp_path / "a target"), f"{steered.one}:current")
    assert steered.dev("exec", steered.one, "--", "cat", "a-file").stdout == "one\n", "the link stays"
    assert "nothing was copied" in steered.dev("cp", f"{steered.one}:pipe", str(tmp_path), code=1).stderr
    missing = steered.dev("cp", str(tmp_path / "a target"), f"{steered.one}:no-folder/", code=1)
    assert "there is no folder /srv/work/no-folder in the container" in missing.stderr


def test_what_was_done_is_written_down(steered: Steered) -> None:
    done = {(entry["where"] == "local", entry["what"]) for entry in steered.dev("audit", "--json", "-n", "200").json}
    for verb in ("stop", "start", "restart", "scale"):
        assert {(True, verb), (False, verb)} <= done, done
    assert (False, "compose") in done
