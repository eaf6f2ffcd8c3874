"""A stack moves to another host with its data, and stays where it was whatever goes wrong on the way."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator

import pytest

from tests.real.lab import Ended, Host, Lab, Repository, wait_for
from tests.real.test_interrupts import started

COMPOSE = """\
services:
  app:
    build: .
    volumes: ["..:/srv/work", "cache:/cache"]
    command: [sh, -c, "test ! -e /cache/broken && exec sleep infinity"]
    stop_signal: SIGKILL
    ports: ["8080:80"]
    environment: {WHERE: "${NODE_ADDRESS}"}
  db:
    image: postgres:15
    environment: {POSTGRES_HOST_AUTH_METHOD: trust}
    volumes: ["rows:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, -U, postgres], interval: 2s, retries: 60}
volumes:
  rows:
  cache:
"""
DEVCONTAINER = {
    "dockerComposeFile": "compose.yaml",
    "service": "app",
    "workspaceFolder": "/srv/work",
    "postCreateCommand": "echo created >>/srv/work/created",
}
ROWS = "select count(*), sum(n) from t"
SHARED = "placement: {per_host: 100}\n"


class Moving:
    """One stack, and the two hosts that it moves between."""

    def __init__(self, repository: Repository, hosts: tuple[Host, ...]) -> None:
        self.repository, self.hosts, self.stack = repository, hosts, repository.stack(1)
        self.dev = repository.dev

    @staticmethod
    def address(host: Host) -> str:
        return f"127.0.0.1:{host.port}"

    @property
    def at(self) -> Host:
        """The host that it is on, as `dev list` shows it: on one only."""
        (host,) = (host for host in self.hosts if host.containers(self.stack))
        return host

    @property
    def other(self) -> Host:
        return next(host for host in self.hosts if host is not self.at)

    def move(self, to: Host, *words: str, code: int = 0) -> Ended:
        return self.dev("move", self.stack, "--to", self.address(to), "--yes", *words, code=code)

    def kill(self, to: Host, line: str) -> None:
        """Kill a move with SIGKILL once it has begun a step, and wait for the scripts on the hosts."""
        words = ("move", self.stack, "--to", self.address(to), "--yes", "--verbose")
        with started(self.repository, *words) as (process, reader):
            wait_for(line, lambda: line in reader.text or process.poll() is not None, 120)
            process.send_signal(signal.SIGKILL)
            process.wait(60)
        assert line in reader.text, reader.text
        for host in self.hosts:
            wait_for("the scripts", lambda host=host: not host.run(f"pgrep -f '[.]sh {self.stack} ' || true"), 300)

    def begin(self, *words: str) -> None:
        """Deploy it, with data and work that is nowhere else."""
        self.repository.deploy("--skip-push", "--yes", *words)
        self.sql("create table t (n int); insert into t select generate_series(1, 1000)")
        self.sh("chown 1234:1235 README; echo mine >mine; chmod 640 mine; echo kept >/cache/file; chmod 751 /cache")
        aside = f"~/.kamal-dev/{self.stack}/backups/1"
        self.at.run(f"mkdir -p {aside} && echo aside >{aside}/file && ln -s file {aside}/link")

    def sql(self, text: str) -> str:
        return self.dev("exec", self.stack, "db", "--", "psql", "-U", "postgres", "-tAqc", text).stdout.strip()

    def sh(self, script: str) -> str:
        return self.dev("exec", self.stack, "app", "--", "sh", "-c", script).stdout.strip()

    def remains(self, host: Host) -> list[str]:
        """What is on a host that should have nothing of the stack, except its audit log."""
        return host.run(
            f"ls -A ~/.kamal-dev/{self.stack} 2>/dev/null | grep -vx audit.log;"
            f" docker volume ls --quiet --filter label=com.docker.compose.project={self.stack};"
            f" docker network ls --quiet --filter label=com.docker.compose.project={self.stack};"
            f" docker ps --all --quiet --filter label=com.docker.compose.project={self.stack}; true"
        ).split()

    def listed(self) -> list[str]:
        return [item["stack"] for item in self.dev("list", "--json").json if item["stack"] == self.stack]


@pytest.fixture(scope="module")
def moving(lab: Lab, hosts: tuple[Host, ...]) -> Iterator[Moving]:
    files = {".devcontainer/devcontainer.json": json.dumps(DEVCONTAINER), "README": "read\n"}
    repository = lab.small("move", hosts[:2], files, compose=COMPOSE, settings=SHARED + "vms: {count: 1}\n")
    path = repository.root / "config/dev.yml"
    path.write_text(path.read_text().replace("vms: {count: 2}\n", ""))
    repository.commit()
    made = Moving(repository, hosts[:2])
    made.begin()
    yield made
    repository.dev("remove", "--yes")


def test_a_stack_moves_with_its_data(moving: Moving) -> None:
    before, there, rows = moving.at, moving.other, moving.sql(ROWS)
    plan = moving.dev("move", moving.stack, "--to", moving.address(there), "--dry-run").stdout
    assert f"move to {moving.address(there)} with cache (" in plan
    assert "add `--yes`" in moving.dev("move", moving.stack, "--to", moving.address(there), code=2).stderr
    assert moving.remains(there) == []
    ended = moving.move(there)
    assert moving.at is there
    assert moving.remains(before) == [], str(ended)
    assert moving.listed() == [moving.stack]
    assert moving.dev("status", moving.stack).code == 0
    assert moving.sql(ROWS) == rows
    shown = moving.sh("stat -c '%u:%g' README; cat mine /cache/file created; stat -c %a mine /cache")
    assert shown == "1234:1235\nmine\nkept\ncreated\n640\n751"
    assert there.run(f"cat ~/.kamal-dev/{moving.stack}/backups/1/link") == "aside\n"
    recorded = moving.dev("audit", moving.stack).stdout
    assert "apply" in recorded and "move" in recorded
    assert "is already on" in moving.move(there).text


def test_a_moved_stack_is_deployed_where_it_is(moving: Moving) -> None:
    there = moving.at
    again = moving.repository.deploy("--skip-push", "--yes").stacks[moving.stack]
    assert again["address"] == "127.0.0.1"
    assert moving.sh("cat created") == "created", "postCreateCommand does not run again"
    assert moving.at is there


def test_a_stack_that_does_not_start_there_runs_again_where_it_was(moving: Moving) -> None:
    before, there, rows = moving.at, moving.other, moving.sql(ROWS)
    moving.sh("touch /cache/broken")
    failed = moving.move(there, code=1)
    assert "did not stay up" in failed.stderr
    before.run(f"rm /var/lib/docker/volumes/{moving.stack}_cache/_data/broken")
    moving.dev("restart", moving.stack)
    assert moving.remains(there) == []
    assert moving.at is before
    assert moving.sql(ROWS) == rows
    assert moving.sh("cat created") == "created"


SLOW = [pytest.param(step, marks=pytest.mark.slow) for step in ("$ create", "$ move {} seal", "$ operate start")]


@pytest.mark.parametrize("step", ["Backing up", *SLOW])
def test_a_move_that_is_killed_is_undone_by_the_next_command(moving: Moving, step: str) -> None:
    before, there = moving.at, moving.other
    moving.sql("delete from t; insert into t values (42)")
    moving.kill(there, step.format(moving.stack))
    assert moving.listed() == [moving.stack]
    ended = moving.dev("start", moving.stack)
    assert "Undid a move" in ended.stderr
    assert moving.remains(there) == []
    assert moving.at is before
    assert moving.sql("select sum(n) from t") == "42"
    assert moving.dev("status", moving.stack).code == 0


@pytest.mark.slow
def test_a_move_that_is_killed_at_its_end_leaves_one_stack(moving: Moving) -> None:
    there = moving.other
    moving.sql("delete from t; insert into t values (42)")
    moving.kill(there, f"$ remove {moving.stack} moved\n")
    assert moving.listed() == [moving.stack]
    moving.move(there)
    assert moving.at is there
    assert moving.dev("status", moving.stack).code == 0
    assert moving.sql("select sum(n) from t") == "42"


@pytest.mark.slow
def test_a_stack_that_is_half_moved_is_removed_from_both_hosts(moving: Moving) -> None:
    moving.kill(moving.other, "Backing up")
    moving.dev("remove", moving.stack, "--yes")
    assert [moving.remains(host) for host in moving.hosts] == [[], []]
    moving.begin()


@pytest.mark.slow
def test_a_new_stack_takes_the_place_of_what_a_move_has_left(moving: Moving) -> None:
    before, there = moving.at, moving.other
    moving.kill(there, "Backing up")
    # The old host has lost everything meanwhile.
    before.run(f"rm ~/.kamal-dev/{moving.stack}/underway")
    moving.dev("remove", moving.stack, "--yes")
    assert moving.remains(there) != []
    moving.begin(moving.stack, "--on", moving.address(there))
    assert moving.at is there
    assert moving.sql("select count(*) from t") == "1000"
