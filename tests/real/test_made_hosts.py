"""Hosts that `dev` makes, it finds again and destroys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.real import lab as labs
from tests.real.lab import Host, Lab, Repository, docker

NAMES = {"stacks_share": "shared", "is_over": "over", "are_over": "all-over"}


@pytest.fixture
def repository(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Repository]:
    """A repository whose hosts are containers; they go with the test, however it ends."""
    name = next((name for words, name in NAMES.items() if words in request.node.name), "made")
    made = lab.small(name, [], {".devcontainer/devcontainer.json": '{"image": "debian:12"}\n'})
    registry = f"registry: {{server: {lab.registry}}}"
    settings = f"service: {made.service}\n{registry}\nprovider: {{type: docker}}\ndeploy: {{window: 1}}\n"
    made.commit({"config/dev.yml": settings})
    yield made
    labs.remove_hosts(made.service)


def test_a_made_host_is_found_again_and_destroyed_with_its_stack(lab: Lab, repository: Repository) -> None:
    repository.dev("deploy", "--yes")
    (host,) = lab.hosts(repository)
    stack = f"{repository.service}-1"
    repository.dev("open", "--print")
    docker("stop", "--time", "5", host.container)
    listed = repository.dev("list", "--json").json
    assert [stack["state"] for stack in listed] == ["off"]
    repository.dev("deploy")
    (again,) = lab.hosts(repository)
    assert again.container == host.container
    # Its port is another one now, and the file that `dev open` made knows.
    words = ("-F", str(repository.root / ".kamal/local/ssh_config"), "-o", "BatchMode=yes", stack, "hostname")
    assert labs.run("ssh", *words).strip() == stack
    repository.dev("remove", "--yes")
    assert docker("ps", "--all", "--quiet", "--filter", f"label=kamal-dev.service={repository.service}") == ""
    assert repository.dev("list", "--json").json == []


def test_stacks_share_made_hosts_and_the_last_one_takes_its_host_along(lab: Lab, repository: Repository) -> None:
    settings = (repository.root / "config/dev.yml").read_text()
    repository.commit({"config/dev.yml": f"{settings}placement: {{per_host: 2}}\n"})
    planned = repository.dev("plan", "--count", "4").stdout
    assert planned.count("create host host-") == 2, planned
    done = repository.deploy("--count", "4", "--yes")
    assert {stack["state"] for stack in done.stacks.values()} == {"deployed"}, str(done)
    first, second = lab.hosts(repository)
    assert [first.name, second.name] == [f"host-{number}.{repository.service}" for number in (1, 2)]
    assert placed(repository, first, second) == {1: [1, 2], 2: [3, 4]}

    docker("stop", "--time", "5", second.container)
    states = {stack["stack"]: stack["state"] for stack in repository.dev("list", "--json").json}
    assert states == {repository.stack(1): "up", repository.stack(2): "up", second.name: "off"}
    again = repository.deploy("--count", "4")
    assert {stack["state"] for stack in again.stacks.values()} <= {"unchanged", "deployed"}, str(again)
    assert placed(repository, *lab.hosts(repository)) == {1: [1, 2], 2: [3, 4]}

    repository.dev("remove", repository.stack(3), "--yes")
    assert placed(repository, *lab.hosts(repository)) == {1: [1, 2], 2: [4]}
    removing = repository.dev("remove", repository.stack(4), "--dry-run").stdout
    assert f"destroy host {second.name}" in removing, removing
    repository.dev("remove", repository.stack(4), "--yes")
    assert [host.name for host in lab.hosts(repository)] == [first.name]
    assert repository.deploy("--count", "2").stacks[repository.stack(1)]["state"] == "unchanged"
    repository.dev("remove", "--yes")
    assert docker("ps", "--all", "--quiet", "--filter", f"label=kamal-dev.service={repository.service}") == ""


def placed(repository: Repository, *hosts: Host) -> dict[int, list[int]]:
    """Return the numbers of the stacks that each host has, by its number."""
    numbers = range(1, 5)
    running = {host: [index for index in numbers if host.states(repository.stack(index))] for host in hosts}
    return {number: running[host] for number, host in enumerate(hosts, 1)}


@pytest.mark.slow
def test_a_made_host_is_destroyed_when_its_stack_is_over(lab: Lab, repository: Repository) -> None:
    repository.dev("deploy", "--yes", "--ttl", "1h")
    (host,) = lab.hosts(repository)
    stack = f"{repository.service}-1"
    label = f"label=kamal-dev.service={repository.service}"
    assert "Nothing to remove" in repository.dev("reap", "--yes").stderr
    repository.dev("extend", stack, "1s")
    labs.wait_for("it is stopped", lambda: "exited" in str(host.states(stack)), 120)
    refused = repository.dev("reap", code=2)
    assert f"Remove {stack} with all data, destroy host {stack}?" in refused.stderr
    repository.dev("reap", "--yes")
    assert docker("ps", "--all", "--quiet", "--filter", label) == ""
    assert repository.dev("list", "--json").json == []


@pytest.mark.slow
def test_a_shared_made_host_is_destroyed_when_all_its_stacks_are_over(lab: Lab, repository: Repository) -> None:
    settings = (repository.root / "config/dev.yml").read_text()
    repository.commit({"config/dev.yml": f"{settings}placement: {{per_host: 2}}\n"})
    repository.deploy("--count", "2", "--ttl", "1h", "--yes")
    (host,) = lab.hosts(repository)
    first, second = repository.stack(1), repository.stack(2)
    for stack, other in ((first, True), (second, False)):
        repository.dev("extend", stack, "1s")
        labs.wait_for("it is stopped", lambda stack=stack: "exited" in str(host.states(stack)), 120)
        planned = repository.dev("reap", "--dry-run").stdout
        assert (f"destroy host {host.name}" in planned) == (not other), planned
        repository.dev("reap", "--yes")
        assert bool(lab.hosts(repository)) == other
    assert "Nothing to remove" in repository.dev("reap", "--yes").stderr
