"""Two nodes of a real swarm: stacks are placed on them, one node is drained, and one is killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import hosts as images
from tests.real.lab import PREFIX, Host, Lab, Repository, docker, run, wait_for

NAMES = ("manager", "worker")


def booted(name: str, key: Path) -> Host:
    """Boot a host with Docker whose root has this key."""
    container = images.boot(images.prepared(), f"{PREFIX}-{name}", f"kamal-dev.test={PREFIX}")
    host = Host(name, container, 22, key)
    public = key.with_name(f"{key.name}.pub").read_text()
    host.run("mkdir -p ~/.ssh && cat >~/.ssh/authorized_keys", text=public)
    host.run("until docker version; do sleep 0.2; done")
    return host


def address(host: Host) -> str:
    return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", host.container).strip()


@pytest.fixture(scope="module")
def nodes(lab: Lab) -> Iterator[dict[str, Host]]:
    """A manager and a worker; a node is down when it has missed three heartbeats."""
    key = lab.folder / "swarm_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    made = {name: booted(name, key) for name in NAMES}
    manager, worker = made.values()
    manager.run(f"docker swarm init --advertise-addr {address(manager)} --dispatcher-heartbeat 1s")
    token = manager.run("docker swarm join-token --quiet worker").strip()
    worker.run(f"docker swarm join --token {token} {address(manager)}:2377")
    for host in made.values():
        manager.run(f"docker node update --label-add dev=true {host.container}")
    yield made
    images.remove(*(host.container for host in made.values()))


@pytest.fixture(scope="module")
def swarm(lab: Lab, nodes: dict[str, Host]) -> Repository:
    repository = lab.small("swarm", [])
    key = nodes["manager"].key
    repository.commit({"config/dev.yml": config(repository, lab, f"root@{address(nodes['manager'])}", key)})
    return repository


def config(repository: Repository, lab: Lab, manager: str, key: Path) -> str:
    return f"""\
service: {repository.service}
registry: {{server: {lab.registry}}}
provider: {{type: swarm, manager: "{manager}", nodes: "node.labels.dev == true"}}
placement: {{per_host: 2}}
ssh: {{keys: {key}, connect_timeout: 3}}
deploy: {{window: 1, timeout: 60}}
"""


def labelled(nodes: dict[str, Host], repository: Repository) -> dict[str, set[str]]:
    """Return the stacks in the labels of each node."""
    names = " ".join(host.container for host in nodes.values())
    shown = nodes["manager"].run(f"docker node inspect --format '{{{{json .Spec.Labels}}}}' {names}").splitlines()
    labels = [json.loads(line) or {} for line in shown]
    prefix = "kamal-dev.stack."
    return {
        name: {
            key.removeprefix(prefix)
            for key, value in item.items()
            if key.startswith(prefix) and value == repository.service
        }
        for name, item in zip(nodes, labels, strict=True)
    }


def placed(nodes: dict[str, Host], repository: Repository) -> dict[str, set[str]]:
    """Return the stacks that run on each node."""
    stacks = [repository.stack(index) for index in range(1, 6)]
    return {name: {stack for stack in stacks if host.states(stack)} for name, host in nodes.items()}


def state(nodes: dict[str, Host], name: str) -> str:
    shown = nodes["manager"].run(f"docker node inspect --format '{{{{.Status.State}}}}' {nodes[name].container}")
    return shown.strip()


def test_stacks_are_spread_over_the_nodes_that_a_manager_lists(swarm: Repository, nodes: dict[str, Host]) -> None:
    swarm.deploy("--count", "3")
    found = placed(nodes, swarm)
    assert sorted(map(len, found.values())) == [1, 2]
    assert labelled(nodes, swarm) == found
    again = swarm.deploy("--count", "3", "--verbose")
    assert Counter(stack["state"] for stack in again.stacks.values()) == {"unchanged": 3}
    manager, worker = map(address, nodes.values())
    assert again.steps(manager) == ["nodes", "survey"]
    assert again.steps(worker) == ["survey"]


def test_a_drained_node_keeps_its_stacks_and_gets_no_new_ones(swarm: Repository, nodes: dict[str, Host]) -> None:
    found = placed(nodes, swarm)
    emptier = min(found, key=lambda name: len(found[name]))
    (stack,) = found[emptier]
    nodes["manager"].run(f"docker node update --availability drain {nodes[emptier].container}")
    refused = swarm.dev("deploy", swarm.stack(4), "--count", "4", code=1)
    assert f"{address(nodes[emptier])} is drained" in refused.text
    assert swarm.dev("exec", stack, "--", "cat", "/message").stdout == "swarm\n"
    assert {item["stack"]: item["state"] for item in swarm.dev("list", "--json").json}[stack] == "up"
    unchanged = swarm.deploy("--count", "3")
    assert {item["state"] for item in unchanged.stacks.values()} == {"unchanged"}
    nodes["manager"].run(f"docker node update --availability active {nodes[emptier].container}")
    swarm.deploy("--count", "4")
    assert {len(stacks) for stacks in placed(nodes, swarm).values()} == {2}


def test_wrong_labels_are_repaired(swarm: Repository, nodes: dict[str, Host]) -> None:
    found = placed(nodes, swarm)
    mine, other = nodes["worker"], nodes["manager"]
    stack = min(found["worker"])
    label = f"kamal-dev.stack.{stack}"
    other.run("rm -rf ~/.kamal-dev/.claims")
    other.run(f"docker node update --label-rm {label} {mine.container}")
    other.run(f"docker node update --label-add {label}={swarm.service} {other.container}")
    swarm.deploy("--count", "4")
    assert labelled(nodes, swarm) == found


def test_a_worker_names_the_managers_and_a_host_without_a_swarm_says_so(
    swarm: Repository, nodes: dict[str, Host], lab: Lab
) -> None:
    manager, worker = nodes.values()
    text = (swarm.root / "config/dev.yml").read_text()
    (swarm.root / "config/dev.yml").write_text(text.replace(address(manager), address(worker)))
    refused = swarm.dev("list", code=1)
    (swarm.root / "config/dev.yml").write_text(text)
    assert f"{address(worker)} is a worker of the swarm, which cannot list its nodes" in refused.text
    assert f"set `provider.manager` to a manager: {address(manager)}" in refused.text


def test_stacks_of_a_killed_node_are_known_and_new_ones_go_elsewhere(swarm: Repository, nodes: dict[str, Host]) -> None:
    found = placed(nodes, swarm)
    lost, kept = found["worker"], found["manager"]
    docker("kill", nodes["worker"].container)
    wait_for("the swarm reports the node as down", lambda: state(nodes, "worker") == "down", 60)
    listed = {item["stack"]: item for item in swarm.dev("list", "--json", code=1).json}
    assert {name: item["state"] for name, item in listed.items()} == {
        **dict.fromkeys(kept, "up"),
        **dict.fromkeys(lost, "unreachable"),
    }
    assert {listed[name]["address"] for name in lost} == {address(nodes["worker"])} - {""} or lost
    swarm.commit({".devcontainer/message": "changed\n"})
    ended = swarm.deploy("--count", "4", code=1)
    assert {name for name, item in ended.stacks.items() if item["state"] == "failed"} == lost
    removed = min(kept)
    swarm.dev("remove", removed, "--yes")
    swarm.deploy(swarm.stack(5), "--count", "5")
    assert swarm.stack(5) in {*swarm_on(nodes["manager"], swarm)}
    assert labelled(nodes, swarm) == {"manager": (kept - {removed}) | {swarm.stack(5)}, "worker": lost}


def swarm_on(host: Host, repository: Repository) -> set[str]:
    return {repository.stack(index) for index in range(1, 6) if host.states(repository.stack(index))}


def test_removed_stacks_have_no_label(swarm: Repository, nodes: dict[str, Host]) -> None:
    docker("start", nodes["worker"].container)
    wait_for("the node is ready", lambda: state(nodes, "worker") == "ready", 60)
    swarm.dev("remove", "--yes")
    assert labelled(nodes, swarm) == {name: set() for name in NAMES}
    assert placed(nodes, swarm) == {name: set() for name in NAMES}
