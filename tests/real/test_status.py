"""What `dev status` shows of three stacks on three hosts: use, drift, metrics, and a table that refreshes in place."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.pipeline.status_table import HEAD
from tests.pipeline.test_status import parsed
from tests.real.lab import DEV, LISTENING, Host, Lab, Repository, wait_for
from tests.terminal import Terminal

COMPOSE = """\
services:
  app:
    build: .
    init: true
  busy:
    image: debian:12
    command: [sh, -c, "while :; do :; done"]
    cpus: 0.1
    stop_signal: SIGKILL
  db:
    image: debian:12
    command: [sh, -c, "head -c 5000000 /dev/zero >/data/file; exec sleep infinity"]
    stop_signal: SIGKILL
    volumes: [data:/data]
  worker:
    image: debian:12
    command: [sleep, infinity]
    stop_signal: SIGKILL
volumes:
  data:
"""
# What somebody does on the host: another environment for `db`, another image for `worker`, and one more service.
BY_HAND = r"""
cd ~/.kamal-dev/{stack}/current && docker tag debian:12 older:1
docker compose config >/tmp/by-hand.yaml
sed -i -e 's/^  db:$/  db:\n    environment: {{BY_HAND: "1"}}/' \
  -e '/^  worker:$/,/image:/s/image: .*/image: older:1/' \
  -e 's/^services:$/services:\n  extra: {{image: "debian:12", command: [sleep, infinity]}}/' /tmp/by-hand.yaml
docker compose --project-directory "$PWD" --project-name {stack} --file /tmp/by-hand.yaml \
  up --detach --no-deps db worker extra
"""


@pytest.fixture(scope="module")
def repository(lab: Lab, hosts: tuple[Host, ...]) -> Repository:
    repository = lab.small("status", hosts, compose=COMPOSE)
    repository.deploy("--skip-push", "--yes")
    return repository


def status(repository: Repository, *words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """The services of the first stack that is named."""
    stack = repository.dev("status", *words, "--json", code=code).json[0]
    return {item["service"]: item for item in stack["containers"]}


def measured(repository: Repository, stack: str) -> int | None:
    (found,) = repository.dev("status", stack, "--json").json
    (volume,) = found["volumes"]
    assert volume["name"] == f"{stack}_data"
    size: int | None = volume["bytes"]
    return size


def test_processor_memory_and_disk_are_those_of_each_container(repository: Repository) -> None:
    stack = repository.stack(1)
    services = status(repository, stack)
    assert 3 < services["busy"]["cpu"] < 40, "a tenth of a processor"
    assert services["db"]["cpu"] < 3
    assert services["busy"]["cpu_seconds"] > services["db"]["cpu_seconds"] > 0
    assert all(10_000 < item["memory"] < 100_000_000 for item in services.values()), services
    assert not any(item["drift"] for item in services.values())
    wait_for("the size of the volume", lambda: (measured(repository, stack) or 0) >= 5_000_000, 10)
    lines = repository.dev("status", stack).stdout.splitlines()
    assert re.search(
        r" db +up +- +0 +debian:12 +\S+( \S+)? +\d\.\d% +[\d.]+ [kM]B +5(\.\d)? MB$", "\n".join(lines), re.M
    )


def test_each_host_gets_one_connection_and_one_command(repository: Repository, hosts: tuple[Host, ...]) -> None:
    def logins() -> list[int]:
        return [int(host.run("journalctl --unit ssh --grep 'Accepted publickey' --quiet | wc -l")) for host in hosts]

    before = logins()
    # In CI, no connection of an earlier run is used.
    ended = repository.dev("status", "--verbose", CI="true")
    assert [len(ended.steps(repository.stack(index))) for index in (1, 2, 3)] == [1, 1, 1], str(ended)
    assert [after - count for after, count in zip(logins(), before, strict=True)] == [1, 1, 1]


def test_metrics_are_those_of_all_stacks(repository: Repository) -> None:
    families = parsed(repository.dev("status", "--openmetrics").stdout.rstrip("\n"))
    assert list(families["kamal_dev_stack_healthy"].values()) == [1, 1, 1]
    assert len(families["kamal_dev_container_cpu_seconds"]) == 12
    assert set(families["kamal_dev_container_drift"].values()) == {0}


def test_what_was_done_by_hand_is_drift_until_the_next_deploy(repository: Repository, hosts: tuple[Host, ...]) -> None:
    stack = repository.stack(2)
    hosts[1].run(BY_HAND.format(stack=stack))
    services = status(repository, stack, code=1)
    assert {name: (item["state"], item["drift"]) for name, item in services.items()} == {
        "app": ("up", False),
        "busy": ("up", False),
        "db": ("changed", True),
        "worker": ("outdated", True),
        "extra": ("leftover", True),
    }
    said = repository.dev("status", stack, code=1).stdout
    assert "changed (drift)" in said
    assert f"{stack}: db: recreated with another configuration" in said
    assert f"{stack}: worker: runs the image `older:1` instead of `debian:12`" in said
    assert f"{stack}: extra: not part of this release" in said
    metrics = parsed(repository.dev("status", stack, "--openmetrics", code=1).stdout.rstrip("\n"))
    assert sum(metrics["kamal_dev_container_drift"].values()) == 3
    repository.deploy("--skip-push", "--yes", stack)
    assert {name: item["state"] for name, item in status(repository, stack).items()} == dict.fromkeys(
        ("app", "busy", "db", "worker"), "up"
    )


def test_a_watch_that_is_not_on_a_terminal_prints_tables_until_it_is_interrupted(repository: Repository) -> None:
    argv = (sys.executable, "-c", LISTENING, DEV, "status", repository.stack(1), "--watch", "--interval", "1")
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=repository.root, env=repository.variables(), stdout=pipe, text=True) as process:
        try:
            assert process.stdout
            heads = 0
            while heads < 3:
                heads += process.stdout.readline().startswith("STACK ")
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
    assert "--watch" in repository.dev("status", "--watch", "--json", code=2).stderr


def head(terminal: Terminal) -> list[str]:
    """The names of the columns, if the table is there."""
    return next((line.split() for line in terminal.lines if line.startswith("STACK ")), [])


@pytest.fixture
def terminal(repository: Repository, tmp_path: Path) -> Iterator[Terminal]:
    argv = (DEV, "status", "--watch")
    with closing(Terminal(argv, tmp_path, (130, 30), cwd=repository.root, env=repository.variables())) as terminal:
        yield terminal


def test_the_table_refreshes_in_place_in_a_terminal_that_is_resized(repository: Repository, terminal: Terminal) -> None:
    rows = 12
    wait_for("a table", lambda: head(terminal), 30)
    assert tuple(head(terminal)) == HEAD, "\n".join(terminal.lines)
    first = terminal.lines
    assert len(first) == 3 + rows, "\n".join(first)
    wait_for("another time", lambda: terminal.lines[0] != first[0], 15)
    assert [line.split()[:3] for line in terminal.lines[3:]] == [line.split()[:3] for line in first[3:]], "in place"
    terminal.resize(80, 24)
    wait_for("the narrow table", lambda: head(terminal) and "HEALTH" not in head(terminal), 15)
    narrow = terminal.lines
    assert len(narrow) == 3 + rows, "\n".join(narrow)
    assert all(line.startswith(repository.service) for line in narrow[3:]), "no line is broken in two"
    assert {"STATE", "UPTIME", "CPU", "MEMORY"} <= set(narrow[2].split())
    terminal.resize(80, 8)
    wait_for("the short table", lambda: terminal.lines[-1].endswith("more lines"), 15)
    terminal.resize(130, 30)
    wait_for("the wide table once more", lambda: "HEALTH" in head(terminal) and len(terminal.lines) == 3 + rows, 15)
    began = time.monotonic()
    terminal.press("C-c")
    wait_for("the end", lambda: terminal.code is not None, 15)
    assert terminal.code == 130
    assert time.monotonic() - began < 10
    assert "STACK" not in "\n".join(terminal.lines), "the terminal is as it was"
