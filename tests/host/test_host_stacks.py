"""Status and removal of stacks, and images that come over the channel or from a registry."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import bcrypt
import pytest
import zstandard

from kamal_dev.commands import answers, host
from kamal_dev.commands import docker as commands
from kamal_dev.model import ImageConfig, Secret
from tests.host.lab import LABEL, TINY, Lab, release, service, token
from tests.hosts import ROOT, docker

pytestmark = pytest.mark.real

VOLUME = {"app": service(volumes="[data:/data]"), "extra": "volumes: {data: {}}\n"}


def apply(lab: Lab, scripts: Mapping[str, str], stack: str, **options: tuple[str, ...]) -> None:
    step = host.apply(scripts, token(), release(stack, "v1", **VOLUME), window=0, **options)
    assert lab.run(step).outcome.ok


def left_of(lab: Lab, stack: str) -> str:
    kinds = ("ps --all", "volume ls", "network ls")
    return lab.sh(
        "; ".join(f"docker {kind} --quiet --filter label=com.docker.compose.project={stack}" for kind in kinds)
    )


def test_status_tells_of_every_stack_with_its_release_and_containers(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    other = f"{stack}b"
    apply(lab, scripts, stack)
    apply(lab, scripts, other)
    found = {item.stack: item for item in answers.stacks(lab.run(host.status(scripts)).output)}
    for name in (stack, other):
        assert found[name].release
        assert found[name].release.version == "v1"
        assert [(item.service, item.state) for item in found[name].containers] == [("app", "up")]
    (one,) = answers.stacks(lab.run(host.status(scripts, (other,))).output)
    assert one.stack == other
    assert lab.run(host.remove(scripts, other)).outcome.ok


def test_status_measures_several_stacks_at_once_for_whoever_may_use_the_engine(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    other = f"{stack}b"
    for name in (stack, other):
        step = host.apply(scripts, token(), release(name, "v1", **VOLUME), window=0)
        assert lab.run(step, user="dev").outcome.ok
    asked = host.status(scripts, (stack, other), is_measured=True)
    deadline = time.monotonic() + 10
    while True:
        answer = lab.run(asked, user="dev")
        stacks = answers.stacks(answer.output)
        if all(volume.bytes for item in stacks for volume in item.volumes) or time.monotonic() > deadline:
            break
    assert [item.stack for item in stacks] == [stack, other]
    for item in stacks:
        (container,), (usage,), (volume,) = item.containers, item.usage, item.volumes
        assert (usage.id, volume.container, volume.name) == (container.id, container.id, f"{item.stack}_data")
        assert usage.memory and usage.cpu_seconds > 0, answer
        assert volume.bytes, answer
    assert lab.run(host.remove(scripts, other), user="dev").outcome.ok


def test_status_of_a_host_without_the_stack_is_empty(lab: Lab, scripts: Mapping[str, str]) -> None:
    (stack,) = answers.stacks(lab.run(host.status(scripts, ("never-was",))).output)
    assert (stack.release, stack.containers) == (None, ())


def test_remove_leaves_nothing_of_the_stack(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    apply(lab, scripts, stack, workspace=("blog",))
    outcome = lab.run(host.remove(scripts, stack)).outcome
    assert (outcome.ok, outcome.removed, outcome.kept) == (True, True, ())
    assert left_of(lab, stack) == ""
    assert lab.sh(f"ls -A /root/.kamal-dev/{stack}") == "audit.log"
    again = lab.run(host.remove(scripts, stack)).outcome
    assert (again.ok, again.removed) == (True, False)


def test_remove_can_keep_what_people_made(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    apply(lab, scripts, stack, workspace=("blog",))
    lab.sh(f"echo mine >/root/.kamal-dev/{stack}/workspace/blog/file")
    lab.sh(f"docker exec {stack}-app-1 /bin/sh -c 'echo kept >/data/x'")
    outcome = lab.run(host.remove(scripts, stack, keep_volumes=True)).outcome
    assert (outcome.removed, outcome.kept) == (True, ("volumes", "workspace"))
    assert left_of(lab, stack) == f"{stack}_data"
    assert lab.sh(f"cat /root/.kamal-dev/{stack}/workspace/blog/file") == "mine"
    apply(lab, scripts, stack)
    assert lab.sh(f"docker exec {stack}-app-1 /bin/busybox cat /data/x") == "kept"


def test_remove_finds_what_compose_no_longer_knows(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    apply(lab, scripts, stack)
    lab.sh(f"rm -r /root/.kamal-dev/{stack}/current /root/.kamal-dev/{stack}/releases")
    outcome = lab.run(host.remove(scripts, stack)).outcome
    assert (outcome.ok, outcome.removed) == (True, True)
    assert left_of(lab, stack) == ""


def test_remove_takes_files_of_other_users_with_it(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    step = host.apply(scripts, token(), release(stack, "v1", app=service()), workspace=("blog",), window=0)
    assert lab.run(step, user="dev").outcome.ok
    folder = f"/home/dev/.kamal-dev/{stack}/workspace/blog/of-root"
    lab.sh(f"mkdir -m 700 {folder}; echo x >{folder}/x")
    assert lab.run(host.remove(scripts, stack), user="dev").outcome.removed
    assert lab.sh(f"ls -A /home/dev/.kamal-dev/{stack}") == "audit.log"


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.ZstdCompressor(level=3).compress])
def test_images_come_over_the_channel_plain_or_compressed(
    lab: Lab, scripts: Mapping[str, str], tiny: bytes, compress: type[bytes]
) -> None:
    lab.sh(f"docker ps --quiet --filter ancestor={TINY} | xargs -r docker rm --force; docker image rm --force {TINY}")
    assert lab.run(host.facts(scripts, "x-1", images=(TINY,))).facts.held(TINY) is None
    answer = lab.run(host.load(scripts), stdin=compress(tiny))
    assert answer.outcome.ok, answer
    assert lab.run(host.facts(scripts, "x-1", images=(TINY,))).facts.held(TINY)


def test_an_image_without_any_label_is_known_there_and_here(lab: Lab, scripts: Mapping[str, str]) -> None:
    bare = "kamal-dev-test/bare:1"
    make = f"tar -c -T /dev/null | docker import - {bare}"
    lab.sh(make)
    held = lab.run(host.facts(scripts, "x-1", images=(bare,))).facts.held(bare)
    assert held
    assert held.config == ImageConfig()
    subprocess.run(["sh", "-c", make], check=True, capture_output=True)
    try:
        known = json.loads(docker(*commands.describe(bare).argv[1:]))
        assert ImageConfig.from_json(known) == ImageConfig()
    finally:
        docker("image", "rm", bare)


def test_a_stream_that_is_no_image_is_refused(lab: Lab, scripts: Mapping[str, str]) -> None:
    answer = lab.run(host.load(scripts), user="dev", stdin=b'no "image" \\ at all' * 100_000)
    assert (answer.code, answer.outcome.ok, answer.outcome.phase) == (1, False, "load")
    assert "tar" in answer.outcome.reason


@dataclass(frozen=True)
class Registry:
    server: str
    image: str


PASSWORD = 'p"a$$ w0rd\\n`x`'


@pytest.fixture(scope="module")
def registry(lab: Lab, tmp_path_factory: pytest.TempPathFactory, tiny: bytes) -> Iterator[Registry]:
    """A registry that asks for a password, reached by the host through `ssh -R` as localhost:5601."""
    subprocess.run([ROOT / "bin/base-images", "registry:2"], check=True, timeout=900)
    folder = tmp_path_factory.mktemp("registry")
    secret = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", "$2y$")
    (folder / "htpasswd").write_text(f"robot:{secret}\n")
    auth = ("REGISTRY_AUTH=htpasswd", "REGISTRY_AUTH_HTPASSWD_REALM=lab", "REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd")
    settings = [word for setting in auth for word in ("--env", setting)]
    flags = ("--label", LABEL, "--publish", "127.0.0.1::5000", "--volume", f"{folder}:/auth:ro")
    container = docker("run", "--detach", *flags, *settings, "registry:2")
    port = docker("port", container, "5000").splitlines()[0].rpartition(":")[2]
    image = push(folder, f"127.0.0.1:{port}")
    tunnel = forward(lab, folder, port)
    yield Registry("localhost:5601", f"localhost:5601/{image}")
    tunnel.terminate()
    tunnel.wait()
    docker("rm", "--force", "--volumes", container)


def push(folder: Path, server: str) -> str:
    login = ["docker", "--config", str(folder), "login", "--username", "robot", "--password-stdin", server]
    for _ in range(50):
        if subprocess.run(login, input=PASSWORD.encode(), capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.2)
    docker("tag", TINY, f"{server}/acme/tiny:1")
    docker("--config", str(folder), "push", "--quiet", f"{server}/acme/tiny:1")
    docker("image", "rm", f"{server}/acme/tiny:1")
    return "acme/tiny:1"


def forward(lab: Lab, folder: Path, port: str) -> subprocess.Popen[bytes]:
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    lab.sh(f"mkdir -p -m 700 ~/.ssh; echo '{key.with_suffix('.pub').read_text()}' >>~/.ssh/authorized_keys")
    where = docker("port", lab.name, "22").splitlines()[0].rpartition(":")[2]
    options = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={os.devnull}", "LogLevel=ERROR", "BatchMode=yes")
    flags = [word for option in options for word in ("-o", option)]
    tunnel = ("-N", "-R", f"5601:127.0.0.1:{port}", "-i", str(key), "-p", where, "root@127.0.0.1")
    process = subprocess.Popen(["ssh", "-F", os.devnull, *flags, *tunnel])
    lab.sh("until ss -ltn | grep -q :5601; do sleep 0.1; done")
    return process


def test_an_image_is_pulled_with_a_login_that_leaves_nothing_behind(
    lab: Lab, scripts: Mapping[str, str], registry: Registry
) -> None:
    refused = lab.run(host.pull(scripts, token(), (registry.image,))).outcome
    assert (refused.ok, [pulled.ok for pulled in refused.images]) == (False, [False])
    wrong = host.Login(registry.server, "robot", Secret("wrong"))
    outcome = lab.run(host.pull(scripts, token(), (registry.image,), wrong)).outcome
    assert outcome.reason.startswith("login to localhost:5601 as `robot` failed: ")
    right = host.Login(registry.server, "robot", Secret(PASSWORD))
    answer = lab.run(
        host.pull(scripts, token(), (registry.image, TINY), right, host.question("x-1", (registry.image,)))
    )
    assert answer.outcome.ok, answer
    assert [(pulled.image, pulled.ok) for pulled in answer.outcome.images] == [(registry.image, True)]
    assert answer.outcome.facts
    assert answer.outcome.facts.held(registry.image)
    assert lab.sh("ls ~/.docker/config.json; grep -rlF 'w0rd' /root /home /tmp", check=False) == ""


def test_a_release_pulls_its_own_images_with_the_login(
    lab: Lab, scripts: Mapping[str, str], registry: Registry, stack: str
) -> None:
    lab.sh(f"docker image rm {registry.image}", check=False)
    wanted = release(stack, "v1", app=service().replace(TINY, registry.image), image=registry.image)
    login = host.Login(registry.server, "robot", Secret(PASSWORD))
    outcome = lab.run(host.apply(scripts, token(), wanted, window=0, login=login), user="dev").outcome
    assert (outcome.state, [pulled.ok for pulled in outcome.images]) == ("new", [True]), outcome
