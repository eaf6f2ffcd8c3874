"""What `dev render --engine swarm-stack` writes, deployed to a real swarm of two nodes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from kamal_dev.commands import host
from kamal_dev.commands.payload import tar
from kamal_dev.compose import Additions, swarm_stack
from kamal_dev.model import Release, Secret
from kamal_dev.model.stack_engine import SWARM_STACK, StackEngine
from tests import hosts
from tests.compose import support
from tests.host.lab import SLEEP, TINY, Lab

pytestmark = pytest.mark.real

STACK = "shop-1"
HOME = f"/root/.kamal-dev/{STACK}"
SOUGHT = 120.0
COMPOSE = f"""
services:
  app:
    image: {TINY}
    command: {SLEEP}
    init: true
    environment:
      PASSWORD:
      TEMPLATE: "{{{{.Task.Name}}}} 5$$"
    volumes: ["..:/workspaces/shop", "data:/data"]
    configs: [setting]
    secrets: [key]
    shm_size: 32m
    ports: ["127.0.0.1:8000:8000"]
    networks: ["on", default]
    restart: unless-stopped
  once:
    image: {TINY}
    command: ["/bin/busybox", "sh", "-c", "echo $$HOSTNAME >>/runs/all"]
    volumes: ["runs:/runs"]
  web:
    image: {TINY}
    command: ["/bin/busybox", "sh", "-c", "mkdir /w && echo hello >/w/index.html && exec busybox httpd -f -p 80 -h /w"]
    networks: ["on"]
    restart: always
    deploy: {{placement: {{constraints: [WHERE]}}}}
networks: {{"on": , default: }}
volumes: {{data: , runs: }}
configs: {{setting: {{content: "version VERSION\\n"}}}}
secrets: {{key: {{environment: PASSWORD}}}}
"""


@dataclass(frozen=True)
class Swarm:
    """Two nodes: `manager`, on which the stack is deployed, and `worker`."""

    manager: Lab
    worker: Lab

    def deploy(self, release: Release, password: str) -> None:
        """Put a release on the manager, and deploy its file."""
        self.manager.sh(f"mkdir -p {HOME}/workspace/shop && rm -rf {HOME}/current && mkdir {HOME}/current")
        unpack = [*self.manager.exec(), "tar", "-xf", "-", "-C", f"{HOME}/current"]
        subprocess.run(unpack, input=tar(release.files), check=True, timeout=60)
        known = "KAMAL_DEV_HOME=$HOME KAMAL_DEV_NODE=$(docker info --format '{{.Swarm.NodeID}}')"
        flags = f"-c {swarm_stack.FILE} --resolve-image never --prune --detach=true"
        self.manager.sh(f"cd {HOME}/current && {known} PASSWORD='{password}' docker stack deploy {flags} {STACK}")

    def container(self, node: Lab, service: str) -> str:
        """Return the id of the running container of a service on a node; empty if there is none."""
        label = f"label=com.docker.swarm.service.name={STACK}_{service}"
        return node.sh(f"docker ps --quiet --filter {label}").partition("\n")[0]

    def enter(self, command: str, service: str = "app") -> str:
        """Run a command in a container on the manager."""
        return self.manager.sh(f"docker exec {self.container(self.manager, service)} {command}", check=False)

    def tasks(self, service: str) -> list[str]:
        """Return the states of all tasks of a service."""
        return self.manager.sh(f"docker service ps --format '{{{{.CurrentState}}}}' {STACK}_{service}").splitlines()


def until(is_so: Callable[[], object]) -> None:
    ends = time.monotonic() + SOUGHT
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.2)


def address(node: Lab) -> str:
    return hosts.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", node.name)


def release(password: str, version: str, where: str) -> Release:
    project = support.load(COMPOSE.replace("VERSION", version).replace("WHERE", where), secrets={"PASSWORD": password})
    extra = Additions("shop", "app", secrets=("PASSWORD",), engine=StackEngine(SWARM_STACK))
    return support.render(project, stack=STACK, extra=extra, variables={"PASSWORD": Secret(password)})


@pytest.fixture(scope="module")
def nodes(make_lab: Callable[..., Lab], scripts: Mapping[str, str], tiny: bytes) -> Iterator[Swarm]:
    """A swarm that notices quickly that a node is gone."""
    made = Swarm(*(make_lab(name, hosts.prepared()) for name in ("manager", "worker")))
    for node in (made.manager, made.worker):
        node.sh("until docker version; do sleep 0.2; done")
        assert node.run(host.load(scripts), stdin=tiny).code == 0
    made.manager.sh(f"docker swarm init --advertise-addr {address(made.manager)} --dispatcher-heartbeat 1s")
    token = made.manager.sh("docker swarm join-token --quiet worker")
    made.worker.sh(f"docker swarm join --token {token} {address(made.manager)}:2377")
    yield made


@pytest.fixture(scope="module")
def deployed(nodes: Swarm) -> Swarm:
    nodes.deploy(release("p$w.d", "1", f"node.hostname != {nodes.manager.name}"), "p$w.d")
    until(lambda: nodes.container(nodes.manager, "app") and nodes.container(nodes.worker, "web"))
    return nodes


def test_a_container_gets_what_compose_would_give_it(deployed: Swarm) -> None:
    deployed.manager.sh(f"echo here >{HOME}/workspace/shop/file")
    assert deployed.enter("busybox cat /workspaces/shop/file") == "here"
    environment = deployed.enter("busybox env").splitlines()
    assert {"PASSWORD=p$w.d", "TEMPLATE={{.Task.Name}} 5$"} <= set(environment)
    assert deployed.enter("busybox cat /setting") == "version 1"
    assert deployed.enter("busybox cat /run/secrets/key") == "p$w.d"
    assert "32.0M" in deployed.enter("busybox df -h /dev/shm")
    mark = """--format '{{index .Config.Labels "kamal-dev.main"}}'"""
    assert deployed.manager.sh(f"docker inspect {mark} {deployed.container(deployed.manager, 'app')}") == "true"


def test_services_on_two_nodes_reach_each_other_by_name(deployed: Swarm) -> None:
    assert not deployed.container(deployed.manager, "web")
    until(lambda: deployed.enter("busybox wget -q -O - http://web/") == "hello")


def test_no_port_is_published(deployed: Swarm) -> None:
    listening = deployed.manager.sh("ss -Hltn; docker service inspect --format '{{json .Endpoint.Ports}}' shop-1_app")
    assert ":8000" not in listening
    assert "null" in listening


def test_a_service_that_has_completed_is_not_run_again(deployed: Swarm) -> None:
    until(lambda: [state for state in deployed.tasks("once") if state.startswith("Complete")])
    policy = "--format '{{.Spec.TaskTemplate.RestartPolicy.Condition}}'"
    assert deployed.manager.sh(f"docker service inspect {policy} {STACK}_once") == "none"
    assert len(deployed.tasks("once")) == 1


def test_a_config_and_a_secret_can_change(deployed: Swarm) -> None:
    before = deployed.container(deployed.manager, "app")
    deployed.deploy(release("other", "2", f"node.hostname != {deployed.manager.name}"), "other")
    until(lambda: deployed.container(deployed.manager, "app") not in ("", before))
    until(lambda: deployed.enter("busybox cat /setting") == "version 2")
    assert deployed.enter("busybox cat /run/secrets/key") == "other"
    assert deployed.enter("busybox env").count("PASSWORD=other") == 1


def prefer_worker(nodes: Swarm) -> None:
    """Let `web` run on the worker, and once it does, on the manager too."""
    label = "docker node update --label"
    nodes.manager.sh(f"{label}-rm web {nodes.manager.name}", check=False)
    nodes.manager.sh(f"{label}-add web=yes {nodes.worker.name}")
    until(lambda: nodes.container(nodes.worker, "web") and not nodes.container(nodes.manager, "web"))
    nodes.manager.sh(f"{label}-add web=yes {nodes.manager.name}")


@pytest.mark.slow
def test_services_leave_a_drained_node_and_the_pinned_ones_stay(nodes: Swarm) -> None:
    nodes.deploy(release("p", "3", "node.labels.web == yes"), "p")
    until(lambda: nodes.enter("busybox cat /setting") == "version 3")
    prefer_worker(nodes)
    pinned = nodes.container(nodes.manager, "app")
    nodes.manager.sh(f"docker node update --availability drain {nodes.worker.name}")
    until(lambda: nodes.container(nodes.manager, "web"))
    until(lambda: nodes.enter("busybox wget -q -O - http://web/") == "hello")
    nodes.manager.sh(f"docker node update --availability active {nodes.worker.name}")
    assert nodes.container(nodes.manager, "app") == pinned


@pytest.mark.slow
def test_services_of_a_node_that_died_start_on_another_one(nodes: Swarm) -> None:
    nodes.deploy(release("p", "4", "node.labels.web == yes"), "p")
    until(lambda: nodes.enter("busybox cat /setting") == "version 4")
    prefer_worker(nodes)
    pinned = nodes.container(nodes.manager, "app")
    hosts.docker("kill", nodes.worker.name)
    until(lambda: nodes.container(nodes.manager, "web"))
    until(lambda: nodes.enter("busybox wget -q -O - http://web/") == "hello")
    assert nodes.container(nodes.manager, "app") == pinned


def test_a_removed_stack_leaves_nothing_but_its_volumes(nodes: Swarm) -> None:
    nodes.manager.sh(f"docker stack rm {STACK}")
    left = "docker ps --quiet; docker network ls --quiet --filter name=shop-1; docker secret ls -q; docker config ls -q"
    until(lambda: not nodes.manager.sh(left))
    assert nodes.manager.sh("docker volume ls --quiet").splitlines() == ["shop-1_data", "shop-1_runs"]
