"""Several stacks on each host: placed, isolated, deployed again without a change, and removed one by one."""

from __future__ import annotations

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.faults.hosts import bare, remove
from tests.real.lab import COMPOSE, Host, Lab, Repository

# It says the name of its stack on the port that all stacks publish.
SERVE = (
    "my $$s = IO::Socket::INET->new(Listen => 5, LocalPort => 80, ReuseAddr => 1) or die;"
    "while (my $$c = $$s->accept) { print $$c qq($$ENV{DEV_STACK}\\n); close $$c }"
)
FIXED = (
    COMPOSE
    + f"""\
    container_name: the-app
    command: [perl, -MIO::Socket::INET, -e, '{SERVE}']
    stop_signal: SIGKILL
    environment: {{DEV_STACK: "${{DEV_STACK}}"}}
    ports: ["8080:80"]
    networks: [front]
    volumes: [data:/data]
networks:
  front: {{name: the-network}}
volumes:
  data: {{name: the-data}}
"""
)
SHARED = "placement: {per_host: 100}\n"


@pytest.fixture(scope="module")
def shared(lab: Lab, hosts: tuple[Host, ...]) -> Repository:
    repository = lab.small("many", hosts[:2], compose=FIXED, settings=SHARED)
    # Other tests have stacks there, so that the emptiest host is left to chance.
    for number, names in enumerate((range(1, 4), range(4, 7))):
        host = f"127.0.0.1:{hosts[number].port}"
        repository.dev("deploy", "--count", "6", *map(repository.stack, names), "--on", host)
    return repository


def where(repository: Repository, hosts: tuple[Host, ...]) -> dict[str, int]:
    """Return the number of the host of each stack that runs."""
    names = [repository.stack(index) for index in range(1, 8)]
    return {name: number for number, host in enumerate(hosts[:2]) for name in names if host.states(name)}


def test_six_stacks_on_two_hosts_are_deployed_again_with_one_exec_each(
    shared: Repository, hosts: tuple[Host, ...]
) -> None:
    placed = where(shared, hosts)
    assert Counter(placed.values()) == {0: 3, 1: 3}
    started = {name: hosts[number].started(name) for name, number in placed.items()}
    again = shared.deploy("--count", "6", "--verbose")
    assert [again.steps(f"127.0.0.1:{host.port}") for host in hosts[:2]] == [["survey"]] * 2, str(again)
    assert not [step for name in placed for step in again.steps(name)], str(again)
    assert len([step for step in again.steps() if step.startswith("ssh ")]) <= 2, "at most a connection for each host"
    assert {stack["state"] for stack in again.stacks.values()} == {"unchanged"}
    assert {name: hosts[number].started(name) for name, number in placed.items()} == started
    shown = shared.dev("status", "--verbose")
    assert all(name in shown.stdout for name in placed)
    assert [shown.steps(f"127.0.0.1:{host.port}") for host in hosts[:2]] == [["status"]] * 2, str(shown)


def ports(repository: Repository) -> dict[str, int]:
    """Return the port of the host of each stack, as `dev list` shows it."""
    return {item["stack"]: item["ports"]["app:8080:80/tcp"] for item in repository.dev("list", "--json").json}


def test_each_stack_is_reached_on_a_port_of_its_own_that_it_keeps(shared: Repository, hosts: tuple[Host, ...]) -> None:
    placed, known = where(shared, hosts), ports(shared)
    for name, number in placed.items():
        answer = f"bash -c 'exec 3<>/dev/tcp/127.0.0.1/{known[name]} && cat <&3'"
        assert hosts[number].run(answer) == f"{name}\n"
    shared.commit({".devcontainer/message": "changed\n"})
    shared.dev("deploy", "--count", "6")
    assert ports(shared) == known
    assert "->app:80" in shared.dev("list").stdout


def test_each_stack_has_its_own_volume_and_removing_one_leaves_the_others(
    shared: Repository, hosts: tuple[Host, ...]
) -> None:
    placed = where(shared, hosts)
    for name in placed:
        shared.dev("exec", name, "--", "sh", "-c", f"echo {name} >/data/name")
    first = shared.stack(1)
    shared.dev("remove", first, "--yes")
    remaining = {name: number for name, number in placed.items() if name != first}
    assert where(shared, hosts) == remaining
    planned = shared.dev("deploy", first, "--dry-run").stdout
    assert re.findall(r"^\S+\$ (claim|allot|apply) ", planned, re.MULTILINE) == ["claim", "allot", "apply"], planned
    assert where(shared, hosts) == remaining
    assert [shared.dev("exec", name, "--", "cat", "/data/name").stdout.strip() for name in remaining] == [*remaining]
    shared.dev("deploy", first)
    assert {*where(shared, hosts)} == {*placed}
    assert shared.dev("exec", first, "--", "ls", "/data").stdout == ""


def test_two_deploys_that_create_one_stack_end_with_one(shared: Repository, hosts: tuple[Host, ...]) -> None:
    name = shared.stack(7)
    with ThreadPoolExecutor() as pool:
        ended = [pool.submit(shared.attempt, "deploy", "--count", "7", name) for _ in range(2)]
    assert {item.result().code for item in ended} == {0}, "\n".join(str(item.result()) for item in ended)
    assert [bool(host.states(name)) for host in hosts[:2]].count(True) == 1
    shared.dev("remove", name, "--yes")


@pytest.mark.slow
def test_the_first_deploy_of_several_stacks_installs_docker_once_on_each_host(lab: Lab, tmp_path: Path) -> None:
    made = [bare(tmp_path, f"placed-{number}") for number in (1, 2)]
    try:
        repository = lab.small("firsts", made, compose=FIXED, settings=SHARED)
        first = repository.dev("deploy", "--json", "--count", "6", "--yes", timeout=900)
        assert {stack["state"] for stack in first.stacks.values()} == {"deployed"}, str(first)
        names = [repository.stack(index) for index in range(1, 7)]
        assert [sum(bool(host.states(name)) for name in names) for host in made] == [3, 3]
        installed = "grep -c ' install docker.io:' /var/log/dpkg.log"
        assert [host.run(installed).strip() for host in made] == ["1", "1"]
        assert len({*ports(repository).values()}) >= 3, "those of one host differ"
        again = repository.deploy("--count", "6")
        assert {stack["state"] for stack in again.stacks.values()} == {"unchanged"}, str(again)
        repository.dev("remove", "--yes")
        left = "docker ps -aq; docker volume ls -q; docker image ls -q; find ~/.kamal-dev -mindepth 2 ! -name audit.log"
        own = [
            host.run(f"({left}) | sed '\\,^/root/.kamal-dev/[.],d'; ls ~/.kamal-dev/.claims").split() for host in made
        ]
        assert own == [[], []]
    finally:
        for host in made:
            remove(host)
