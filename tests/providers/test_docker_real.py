"""The docker provider against the engine of this machine."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kamal_dev import config, providers
from kamal_dev.commands import host
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.shell.local import Local
from tests.hosts import bare, scripts
from tests.providers.engine import ensured, listed

pytestmark = pytest.mark.real
SERVICE = "test-provider"
ONE, TWO, THREE = (f"{SERVICE}-{index}" for index in (1, 2, 3))


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout.strip()


def containers(*filters: str) -> list[str]:
    words = [word for text in (f"kamal-dev.service={SERVICE}", *filters) for word in ("--filter", f"label={text}")]
    return docker("ps", "--all", "--quiet", "--no-trunc", *words).split()


def remove_all() -> None:
    for found in containers():
        docker("rm", "--force", "--volumes", found)


@pytest.fixture(scope="module", autouse=True)
def clean() -> Iterator[None]:
    remove_all()
    yield
    remove_all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


def provider(folder: Path, options: str = "") -> providers.Provider:
    text = f"service: {SERVICE}\nprovider:\n  type: docker\n{options}"
    read = config.load(text, "config/dev.yml", environment={})
    return providers.make(read, shell=Local(), directory=folder / ".kamal/local", output=Output(lambda event: None))


@pytest.fixture(scope="module")
def hosts(folder: Path) -> tuple[Host, ...]:
    return ensured(provider(folder), ONE, TWO)


def ssh(host: Host, command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Log in as a user would, trusting nothing but the key that the provider vouches for."""
    known = tmp_path / "known_hosts"
    known.write_text(f"[{host.address}]:{host.port} {host.host_key}\n")
    options = [
        "-F",
        "none",
        "-o",
        f"UserKnownHostsFile={known}",
        "-o",
        "StrictHostKeyChecking=yes",
        "-o",
        "BatchMode=yes",
    ]
    where = ["-i", str(host.keys[0]), "-p", str(host.port), f"{host.user}@{host.address}"]
    return subprocess.run(["ssh", *options, *where, command], capture_output=True, text=True, timeout=60, check=False)


ABOUT = "hostname; id -un; ps -p 1 -o comm=; . /etc/os-release; echo $ID"


def test_a_host_is_a_debian_with_systemd_sshd_and_an_engine(hosts: tuple[Host, ...], tmp_path: Path) -> None:
    answer = ssh(hosts[0], ABOUT, tmp_path)
    assert answer.stdout.split() == [ONE, "root", "systemd", "debian"], answer.stderr
    wait = "for _ in $(seq 60); do docker version >/dev/null 2>&1 && exit; sleep 0.5; done; exit 1"
    assert ssh(hosts[0], wait, tmp_path).returncode == 0


def test_bootstrap_does_nothing_in_such_a_host(hosts: tuple[Host, ...]) -> None:
    (found,) = containers(f"kamal-dev.host={ONE}")
    step = host.bootstrap(scripts(), "again")
    words = ("docker", "exec", "--interactive", "--env", "HOME=/root", found, *step.argv)
    told = subprocess.run(words, input=step.stdin, capture_output=True, check=True, timeout=120).stdout.decode()
    (result,) = [line for line in told.splitlines() if '"result"' in line]
    assert json.loads(result)["ok"] and not json.loads(result)["changed"], told


def test_the_containers_of_its_engine_are_within_its_own_limits(hosts: tuple[Host, ...]) -> None:
    (found,) = containers(f"kamal-dev.host={ONE}")
    said = docker("exec", found, "sh", "-c", "cat /etc/docker/daemon.json; cat /proc/1/cgroup")
    if docker("info", "--format", "{{.CgroupVersion}}") == "1":
        assert f"/docker/{found}" in json.loads(said[: said.rindex("}") + 1])["cgroup-parent"]
    else:
        assert found not in json.loads(said[: said.rindex("}") + 1]).get("cgroup-parent", "")


def test_an_image_of_one_s_own_may_be_bare(tmp_path: Path) -> None:
    (made,) = ensured(provider(tmp_path, f"  image: {bare()}\n"), f"{SERVICE}-bare")
    answer = ssh(made, "command -v docker || echo bare", tmp_path)
    provider(tmp_path).destroy((made.name,))
    assert answer.stdout.split() == ["bare"], answer.stderr


def test_systemd_comes_up_whole(hosts: tuple[Host, ...], tmp_path: Path) -> None:
    assert ssh(hosts[0], "systemctl is-system-running --wait; systemctl --failed", tmp_path).stdout.startswith(
        "running"
    )


def test_hosts_share_neither_keys_nor_ids(hosts: tuple[Host, ...], tmp_path: Path) -> None:
    assert hosts[0].host_key != hosts[1].host_key
    ids = {ssh(host, "cat /etc/machine-id", tmp_path).stdout for host in hosts}
    assert len(ids) == 2


def test_a_password_opens_no_host(hosts: tuple[Host, ...], tmp_path: Path) -> None:
    asked = ssh(hosts[0], "sshd -T", tmp_path).stdout.lower()
    assert "passwordauthentication no" in asked
    assert "permitrootlogin without-password" in asked


def test_ssh_is_published_to_this_machine_alone(hosts: tuple[Host, ...]) -> None:
    (found,) = containers(f"kamal-dev.host={ONE}")
    ports = json.loads(docker("inspect", "--format", "{{json .NetworkSettings.Ports}}", found))
    assert ports == {"22/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(hosts[0].port)}]}


def test_hosts_reach_each_other_at_their_addresses(hosts: tuple[Host, ...], tmp_path: Path) -> None:
    banner = f"read -r line </dev/tcp/{hosts[1].peer_address}/22; echo $line"
    answer = ssh(hosts[0], f"bash -c '{banner}'", tmp_path)
    assert answer.stdout.startswith("SSH-2.0"), answer.stderr
    assert hosts[0].peer_address != hosts[1].peer_address


def test_running_again_makes_nothing(hosts: tuple[Host, ...], folder: Path) -> None:
    assert ensured(provider(folder), ONE, TWO) == hosts
    assert listed(provider(folder)) == hosts
    assert len(containers()) == 2


def test_two_runs_that_start_together_make_one_host(folder: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda made: made.ensure((THREE,)), [provider(folder), provider(folder)]))
    assert found[0] == found[1]
    assert len(containers(f"kamal-dev.host={THREE}")) == 1


def test_a_host_left_half_created_is_completed(folder: Path, tmp_path: Path) -> None:
    provider(folder).ensure((THREE,))
    (found,) = containers(f"kamal-dev.host={THREE}")
    labels = json.loads(docker("inspect", "--format", "{{json .Config.Labels}}", found))
    image = docker("inspect", "--format", "{{.Config.Image}}", found)
    flags = json.loads(docker("inspect", "--format", "{{json .HostConfig.Binds}}", found)) or []
    space = docker("inspect", "--format", "{{.HostConfig.CgroupnsMode}}", found)
    docker("rm", "--force", "--volumes", found)
    docker(
        *("create", "--privileged", "--tty", f"--cgroupns={space}", *(f"--volume={bind}" for bind in flags)),
        *("--tmpfs=/run", "--publish=127.0.0.1::22", *(f"--label={key}={value}" for key, value in labels.items())),
        image,
    )
    (host,) = ensured(provider(folder), THREE)
    assert ssh(host, "true", tmp_path).returncode == 0
    assert len(containers(f"kamal-dev.host={THREE}")) == 1


def test_a_stopped_host_comes_back_with_its_key_and_its_files(folder: Path, tmp_path: Path) -> None:
    (before,) = ensured(provider(folder), TWO)
    ssh(before, "echo kept >/root/note; echo kept >/var/lib/docker/note", tmp_path)
    docker("stop", *containers(f"kamal-dev.host={TWO}"))
    assert {name: host.address for name, host in provider(folder).stacks()}[TWO] == ""
    (after,) = ensured(provider(folder), TWO)
    assert after.host_key == before.host_key
    assert ssh(after, "cat /root/note /var/lib/docker/note", tmp_path).stdout.split() == ["kept", "kept"]


def test_a_lost_key_is_replaced(folder: Path, tmp_path: Path) -> None:
    for half in (folder / ".kamal/local").glob("id_ed25519*"):
        half.unlink()
    (host,) = ensured(provider(folder), ONE)
    assert ssh(host, "true", tmp_path).returncode == 0


def test_memory_of_a_host_is_limited(folder: Path, tmp_path: Path) -> None:
    name = f"{SERVICE}-4"
    (host,) = ensured(provider(folder, options="  memory: 300m\n"), name)
    hungry = "perl -e '$size = 500 * 1024 * 1024; $text = q(a) x $size; print length $text'"
    assert ssh(host, f"systemd-run --quiet --pipe {hungry}", tmp_path).stdout == ""
    assert ssh(host, "echo alive", tmp_path).stdout == "alive\n"
    provider(folder).destroy((name,))


def test_destroying_leaves_no_container_and_no_volume(folder: Path) -> None:
    provider(folder).ensure((ONE, TWO))
    (doomed,) = containers(f"kamal-dev.host={ONE}")
    volumes = docker("inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", doomed).split()
    provider(folder).destroy((ONE,))
    assert len(volumes) == 2
    assert not set(volumes) & set(docker("volume", "ls", "--quiet").split())
    assert containers(f"kamal-dev.host={ONE}") == []
    assert len(containers(f"kamal-dev.host={TWO}")) == 1
