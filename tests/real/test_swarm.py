"""Two nodes of a real swarm: stacks are placed on them, one node is drained, and one is killed."""

from __future__ import annotations

import json
import re
import signal
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import hosts as images
from tests.real.lab import COMPOSE, PREFIX, Ended, Host, Lab, Repository, docker, run, wait_for

LABEL = "kamal-dev.stack."
MENTIONING = COMPOSE + "    environment: [DEV_PEERS, NODE_ADDRESS]\n"


def booted(name: str, key: Path) -> Host:
    """Boot a host with Docker whose root has this key."""
    container = images.boot(images.prepared(), f"{PREFIX}-{name}", f"kamal-dev.test={PREFIX}")
    host = Host(name, container, 22, key)
    host.run("mkdir -p ~/.ssh && cat >~/.ssh/authorized_keys", text=key.with_name(f"{key.name}.pub").read_text())
    host.run("until docker version; do sleep 0.2; done")
    return host


def address(host: Host) -> str:
    return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", host.container).strip()


@dataclass(frozen=True)
class Swarm:
    """A manager, a worker, and a project that is deployed to them, two stacks each."""

    manager: Host
    worker: Host
    repository: Repository

    @property
    def nodes(self) -> dict[str, Host]:
        return {"manager": self.manager, "worker": self.worker}

    def update(self, node: Host, *flags: str) -> None:
        """Change a node, as an administrator does."""
        self.manager.run(f"docker node update {' '.join(flags)} {node.container}")

    def inspect(self, node: Host, field: str) -> Any:
        return json.loads(self.manager.run(f"docker node inspect --format '{{{{json {field}}}}}' {node.container}"))

    @property
    def labelled(self) -> dict[str, set[str]]:
        """The stacks in the labels of each node."""
        service = self.repository.service
        return {
            name: {
                key.removeprefix(LABEL)
                for key, value in (self.inspect(node, ".Spec.Labels") or {}).items()
                if key.startswith(LABEL) and value == service
            }
            for name, node in self.nodes.items()
        }

    @property
    def placed(self) -> dict[str, set[str]]:
        """The stacks that run on each node."""
        stacks = [self.repository.stack(index) for index in range(1, 6)]
        return {name: {stack for stack in stacks if host.states(stack)} for name, host in self.nodes.items()}

    def deployed(self, *words: str, code: int = 0) -> Ended:
        return self.repository.deploy(*words, code=code)


@pytest.fixture(scope="module")
def swarm(lab: Lab) -> Iterator[Swarm]:
    """A swarm; a node is down when it has missed three heartbeats."""
    key = lab.folder / "swarm_key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    manager, worker = booted("manager", key), booted("worker", key)
    manager.run(f"docker swarm init --advertise-addr {address(manager)} --dispatcher-heartbeat 1s")
    token = manager.run("docker swarm join-token --quiet worker").strip()
    worker.run(f"docker swarm join --token {token} {address(manager)}:2377")
    repository = lab.small("swarm", [], compose=MENTIONING)
    made = Swarm(manager, worker, repository)
    made.update(manager, "--label-add dev=true")
    made.update(worker, "--label-add dev=true")
    repository.commit({"config/dev.yml": config(repository, lab, f"root@{address(manager)}", key)})
    yield made
    images.remove(manager.container, worker.container)


def config(repository: Repository, lab: Lab, manager: str, key: Path) -> str:
    return f"""\
service: {repository.service}
registry: {{server: {lab.registry}}}
provider: {{type: swarm, manager: "{manager}", nodes: "node.labels.dev == true"}}
placement: {{per_host: 2}}
ssh: {{keys: {key}, connect_timeout: 3}}
deploy: {{window: 1, timeout: 60}}
vms: {{count: 3}}
"""


def test_stacks_are_spread_over_the_nodes_that_a_manager_lists(swarm: Swarm) -> None:
    swarm.deployed()
    assert sorted(map(len, swarm.placed.values())) == [1, 2]
    assert swarm.labelled == swarm.placed
    again = swarm.deployed("--verbose")
    assert Counter(stack["state"] for stack in again.stacks.values()) == {"unchanged": 3}
    assert again.steps(address(swarm.manager)) == ["nodes", "survey"]
    assert again.steps(address(swarm.worker)) == ["survey"]


def test_stacks_know_addresses_by_which_the_nodes_reach_each_other(swarm: Swarm) -> None:
    repository = swarm.repository
    swarm.deployed()
    homes = {stack: address(swarm.nodes[name]) for name, stacks in swarm.placed.items() for stack in stacks}
    for stack, home in homes.items():
        others = " ".join(f"{name}={homes[name]}" for name in sorted(homes) if name != stack)
        told = repository.dev("exec", stack, "--", "sh", "-c", 'echo "$NODE_ADDRESS $DEV_PEERS"').stdout
        assert told == f"{home} {others}\n"
    stack, far = next((stack, home) for stack, home in homes.items() if home != address(swarm.manager))
    near = next(stack for stack, home in homes.items() if home != far)
    banner = repository.dev("exec", near, "--", "bash", "-c", f"read -r line </dev/tcp/{homes[stack]}/22; echo $line")
    assert banner.stdout.startswith("SSH-2.0")


def test_a_drained_node_keeps_its_stacks_and_gets_no_new_ones(swarm: Swarm) -> None:
    repository = swarm.repository
    swarm.deployed()
    found = swarm.placed
    emptier = min(found, key=lambda name: len(found[name]))
    (stack,) = found[emptier]
    swarm.update(swarm.nodes[emptier], "--availability drain")
    try:
        refused = repository.dev("deploy", repository.stack(4), "--count", "4", code=1)
        assert f"{address(swarm.nodes[emptier])} is drained" in refused.text
        assert repository.dev("exec", stack, "--", "cat", "/message").stdout == "swarm\n"
        assert {item["stack"]: item["state"] for item in repository.dev("list", "--json").json}[stack] == "up"
        assert {item["state"] for item in swarm.deployed().stacks.values()} == {"unchanged"}
    finally:
        swarm.update(swarm.nodes[emptier], "--availability active")


def test_removed_stacks_have_no_label(swarm: Swarm) -> None:
    swarm.deployed()
    swarm.repository.dev("remove", "--yes")
    assert swarm.labelled == swarm.placed == {"manager": set(), "worker": set()}


@pytest.mark.slow
def test_wrong_labels_are_repaired(swarm: Swarm) -> None:
    swarm.deployed("--count", "4")
    found = swarm.placed
    label = f"{LABEL}{min(found['worker'])}"
    # Its claim says that another deploy may still be creating it.
    swarm.manager.run("rm -rf ~/.kamal-dev/.claims")
    swarm.update(swarm.worker, "--label-rm", label)
    swarm.update(swarm.manager, "--label-add", f"{label}={swarm.repository.service}")
    swarm.deployed("--count", "4")
    assert swarm.labelled == found


@pytest.mark.slow
def test_a_worker_names_the_managers(swarm: Swarm) -> None:
    path = swarm.repository.root / "config/dev.yml"
    text = path.read_text()
    path.write_text(text.replace(address(swarm.manager), address(swarm.worker)))
    refused = swarm.repository.dev("list", code=1)
    path.write_text(text)
    assert f"{address(swarm.worker)} is a worker of the swarm, which cannot list its nodes" in refused.text
    assert f"set `provider.manager` to a manager: {address(swarm.manager)}" in refused.text


@pytest.mark.slow
def test_stacks_of_a_killed_node_are_known_and_new_ones_go_elsewhere(swarm: Swarm) -> None:
    repository = swarm.repository
    swarm.deployed("--count", "4")
    lost, kept, where = swarm.placed["worker"], swarm.placed["manager"], address(swarm.worker)
    docker("kill", swarm.worker.container)
    try:
        wait_for("the node is down", lambda: swarm.inspect(swarm.worker, ".Status.State") == "down", 60)
        listed = {item["stack"]: item for item in repository.dev("list", "--json", code=1).json}
        states = {**dict.fromkeys(kept, "up"), **dict.fromkeys(lost, "unreachable")}
        assert {name: item["state"] for name, item in listed.items()} == states
        assert {listed[name]["address"] for name in lost} == {where}
        repository.commit({".devcontainer/message": "changed\n"})
        ended = swarm.deployed("--count", "4", code=1)
        states = {**dict.fromkeys(kept, "deployed"), **dict.fromkeys(lost, "unknown")}
        assert {name: item["state"] for name, item in ended.stacks.items()} == states
        removed = min(kept)
        repository.dev("remove", removed, "--yes")
        swarm.deployed(repository.stack(5), "--count", "5")
        kept = (kept - {removed}) | {repository.stack(5)}
        assert {stack for stack in kept if swarm.manager.states(stack)} == kept
        assert swarm.labelled == {"manager": kept, "worker": lost}
    finally:
        docker("start", swarm.worker.container)
        wait_for("the node is ready", lambda: swarm.inspect(swarm.worker, ".Status.State") == "ready", 60)
    repository.commit({".devcontainer/message": "swarm\n"})
    repository.dev("remove", "--yes")


# --- stacks that Swarm runs

SLEEPER = "sleeper:1"
COUNT_UP = "trap 'exit 0' TERM; n=0; while :; do n=$$((n + 1)); echo line $$n; /bin/sleep 1; done"
SPREAD = f"""\
services:
  app:
    build: .
    init: true
    volumes: ["..:/work"]
  web:
    image: {SLEEPER}
    command: [/bin/sh, -c, "{COUNT_UP}"]
    deploy: {{placement: {{constraints: ["node.labels.web == yes"]}}}}
"""


@dataclass(frozen=True)
class SpreadStack:
    """A project with `engine: swarm-stack`: `app` runs on the manager, `web` where the label `web` is."""

    swarm: Swarm
    repository: Repository

    @property
    def stack(self) -> str:
        return self.repository.stack(1)

    def container(self, node: Host, service: str) -> str:
        """Return the id of the running container of a service on a node; empty if there is none."""
        label = f"label=com.docker.swarm.service.name={self.stack}_{service}"
        return node.run(f"docker ps --quiet --filter {label}").strip()

    @property
    def states(self) -> dict[str, str]:
        (told,) = self.repository.attempt("status", "--json").json
        return {item["service"]: item["state"] for item in told["containers"]}

    def message(self) -> str:
        return self.repository.dev("exec", self.stack, "--", "cat", "/message").stdout


@pytest.fixture(scope="module")
def spread(swarm: Swarm, lab: Lab) -> SpreadStack:
    libraries = "ldd /bin/sh /bin/sleep | grep -o '/[^ ]*' | grep -v : | sort -u"
    sleep = f"tar -chf - /bin/sh /bin/sleep $({libraries}) | docker import - "
    for node in swarm.nodes.values():
        node.run(f"{sleep}{SLEEPER}")
    swarm.update(swarm.worker, "--label-add web=yes")
    repository = lab.small("spread", [], compose=SPREAD)
    key = lab.folder / "swarm_key"
    settings = config(repository, lab, f"root@{address(swarm.manager)}", key)
    settings = settings.replace("per_host: 2", "per_host: 9").replace("count: 3", "count: 1")
    repository.commit({"config/dev.yml": f"{settings}engine: swarm-stack\n"})
    return SpreadStack(swarm, repository)


def test_services_of_one_stack_run_on_two_nodes(spread: SpreadStack) -> None:
    repository, swarm = spread.repository, spread.swarm
    assert {item["state"] for item in repository.deploy().stacks.values()} == {"deployed"}
    assert spread.container(swarm.manager, "app")
    assert not spread.container(swarm.worker, "app")
    assert spread.container(swarm.worker, "web")
    assert not spread.container(swarm.manager, "web")
    assert spread.states == {"app": "up", "web": "up"}
    assert {item["state"] for item in repository.deploy().stacks.values()} == {"unchanged"}
    assert spread.message() == "spread\n"


def test_the_logs_of_another_node_are_read(spread: SpreadStack) -> None:
    repository = spread.repository
    repository.deploy()
    wait_for("lines", lambda: "line 3" in repository.dev("logs", spread.stack, "web").stdout, 30)
    assert repository.dev("logs", spread.stack, "web", "-n", "2").stdout.count("line") == 2
    first = json.loads(repository.dev("logs", spread.stack, "web", "--json").stdout.splitlines()[0])
    assert (first["service"], first["text"]) == ("web", "line 1")
    assert "line 1" not in repository.dev("logs", spread.stack, "web", "--since", "1s").stdout.split("\n")
    assert repository.dev("logs", spread.stack, "web", "--until", "1h").stdout == ""
    log = repository.temporary.parent / "followed.log"
    words = ("logs", "--follow", spread.stack, "web", "--since", "1s")
    with log.open("w") as out, repository.start(*words, stdout=out) as following:
        wait_for("a line", lambda: "line" in log.read_text(), 30)
        assert " line 1\n" not in log.read_text()
        spread.swarm.manager.run(f"docker service update --quiet --force {spread.stack}_web", timeout=120)
        wait_for("the lines of the new one", lambda: " line 2\n" in log.read_text(), 60)
        following.send_signal(signal.SIGINT)
        assert following.wait(20) == 130
    assert log.read_text().count(" line 1\n") == 1


LISTENER = """\
my $server = IO::Socket::INET->new(LocalPort => 3000, Listen => 5) or die;
while (my $client = $server->accept) { print $client "hello\\n"; close $client }
"""


def test_a_shell_and_ports_of_the_node_of_the_stack_are_reached(spread: SpreadStack, lab: Lab) -> None:
    repository, port = spread.repository, lab.free_port()
    assert repository.dev("ssh", spread.stack, "--", "cat", "/message").stdout == "spread\n"
    repository.dev("exec", "-d", spread.stack, "--", "perl", "-MIO::Socket::INET", "-e", LISTENER)
    with repository.start("forward", spread.stack, "--port", f"{port}:3000") as process:
        process.read_until("Open until Ctrl-C")
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            assert connection.makefile().read() == "hello\n"
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait(20) == 130


def test_a_stack_of_swarm_is_rolled_back(spread: SpreadStack) -> None:
    repository = spread.repository
    repository.deploy()
    web = spread.container(spread.swarm.worker, "web")
    dockerfile = (repository.root / ".devcontainer/Dockerfile").read_text()
    broken = re.sub("CMD.*", 'CMD ["sh", "-c", "echo boom; exit 3"]', dockerfile)
    repository.commit({".devcontainer/Dockerfile": broken, ".devcontainer/message": "broken\n"})
    ended = repository.deploy(code=1)
    assert "app did not stay up" in ended.text
    assert "boom" in ended.text
    assert spread.message() == "spread\n"
    repository.commit({".devcontainer/Dockerfile": dockerfile, ".devcontainer/message": "second\n"})
    repository.deploy()
    assert spread.message() == "second\n"
    repository.dev("rollback", "--yes")
    assert spread.message() == "spread\n"
    assert spread.container(spread.swarm.worker, "web") == web


def test_what_only_compose_can_do_is_refused(spread: SpreadStack) -> None:
    repository = spread.repository
    repository.deploy()
    app = spread.container(spread.swarm.manager, "app")
    refused = repository.dev("stop", "--yes", code=1)
    assert "`dev stop` does not work with `engine: swarm-stack`" in refused.text
    settings = (repository.root / "config/dev.yml").read_text()
    (repository.root / "config/dev.yml").write_text(settings.replace("engine: swarm-stack", "engine: compose"))
    refused = repository.deploy(code=1)
    (repository.root / "config/dev.yml").write_text(settings)
    assert "runs with `engine: swarm-stack`" in refused.text
    compose = repository.root / ".devcontainer/compose.yaml"
    text = compose.read_text()
    compose.write_text(text.replace("    init: true\n", "    init: true\n    privileged: true\n"))
    refused = repository.deploy(code=2)
    compose.write_text(text)
    assert "compose.yaml:5" in refused.text
    assert "Swarm has no privileged containers" in refused.text
    assert spread.container(spread.swarm.manager, "app") == app


def test_a_removed_stack_of_swarm_leaves_nothing(spread: SpreadStack) -> None:
    spread.repository.deploy()
    spread.repository.dev("remove", "--yes")
    label = f"--filter label=com.docker.stack.namespace={spread.stack}"
    left = f"docker ps --all --quiet {label}; docker network ls --quiet {label}; docker volume ls --quiet {label}"
    assert not spread.swarm.manager.run(left)
    # Swarm removes what other nodes had, in its own time.
    wait_for("the worker has nothing either", lambda: not spread.swarm.worker.run(left), 60)


def test_services_that_others_have_in_the_swarm_under_that_name_stay(spread: SpreadStack) -> None:
    manager, stack = spread.swarm.manager, spread.stack
    named = f"--name {stack}_other --label com.docker.stack.namespace={stack}"
    manager.run(f"docker service create --quiet --detach {named} {SLEEPER} /bin/sleep infinity")
    try:
        refused = spread.repository.dev("deploy", "--yes", code=1)
        assert f"a stack named `{stack}` runs in the swarm already, from elsewhere" in refused.text
        spread.repository.dev("remove", "--yes")
        assert manager.run("docker service ls --format '{{.Name}}'").split() == [f"{stack}_other"]
    finally:
        manager.run(f"docker service rm {stack}_other")


@pytest.mark.slow
def test_services_leave_a_drained_node_and_the_stack_is_up_again(spread: SpreadStack) -> None:
    swarm = spread.swarm
    spread.repository.deploy()
    app = spread.container(swarm.manager, "app")
    swarm.update(swarm.worker, "--availability drain")
    try:
        wait_for("the service is waiting", lambda: spread.states["web"] == "pending", 60)
        swarm.update(swarm.manager, "--label-add web=yes")
        wait_for("the service runs elsewhere", lambda: spread.container(swarm.manager, "web"), 60)
        wait_for("the stack is up", lambda: spread.states == {"app": "up", "web": "up"}, 60)
        assert spread.container(swarm.manager, "app") == app
    finally:
        swarm.update(swarm.worker, "--availability active")


@pytest.mark.slow
def test_services_of_a_killed_node_run_elsewhere(spread: SpreadStack) -> None:
    swarm = spread.swarm
    swarm.manager.run(f"docker node update --label-rm web {swarm.manager.container} || true")
    spread.repository.deploy()
    if not spread.container(swarm.worker, "web"):
        swarm.manager.run(f"docker service update --force {spread.stack}_web")
    docker("kill", swarm.worker.container)
    try:
        swarm.update(swarm.manager, "--label-add web=yes")
        wait_for("the service runs elsewhere", lambda: spread.container(swarm.manager, "web"), 60)
        wait_for("the stack is up", lambda: spread.states == {"app": "up", "web": "up"}, 60)
        assert {item["state"] for item in spread.repository.deploy().stacks.values()} == {"unchanged"}
        spread.repository.dev("remove", "--yes")
    finally:
        docker("start", swarm.worker.container)
        wait_for("the node is ready", lambda: swarm.inspect(swarm.worker, ".Status.State") == "ready", 60)
