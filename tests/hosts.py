"""Images that the hosts of the tests are made from: a bare one, and one that bootstrap has been through."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from filelock import FileLock

from kamal_dev.commands import host
from kamal_dev.commands.payload import SCRIPTS

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "kamal_dev/host"
DOCKERFILE = ROOT / "kamal_dev/providers/host.Dockerfile"
LABEL = "kamal-dev.test=hosts"
# Every host makes keys and an id of its own when it boots for the first time; its provider sets up the engine, and
# the first deploy the watcher.
FORGET = """
systemctl disable --now kamal-dev-0.service
rm -f /etc/systemd/system/kamal-dev-*.service
systemctl stop docker docker.socket containerd
rm -rf /etc/ssh/ssh_host_* /etc/docker/key.json /etc/docker/daemon.json /var/lib/dbus/machine-id /root/.kamal-dev
: >/etc/machine-id
"""


def scripts() -> Mapping[str, str]:
    """Return the scripts that run on hosts."""
    return {name: (FOLDER / name).read_text() for name in SCRIPTS}


def boot(image: str, name: str, *labels: str) -> str:
    """Start a host and wait until systemd has done its work; returns its name."""
    is_v1 = docker("info", "--format", "{{.CgroupVersion}}") == "1"
    groups = ("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup") if is_v1 else ("--cgroupns=private",)
    docker(
        *("run", "--detach", "--privileged", *groups, "--tmpfs=/run", "--tmpfs=/run/lock"),
        *(f"--label={label}" for label in (LABEL, *labels)),
        *("--volume=/var/lib/docker", "--volume=/var/lib/containerd", "--publish=127.0.0.1::22"),
        *(f"--name={name}", f"--hostname={name}", image),
    )
    is_up = "until systemctl is-system-running --quiet || systemctl is-active --quiet ssh; do sleep 0.2; done"
    docker("exec", name, "sh", "-c", is_up)
    return name


@cache
def bare() -> str:
    """Return the image of a host with sshd and systemd and no Docker."""
    return _once(f"kamal-dev-test/host:{_short(recipe())}", _build)


@cache
def prepared() -> str:
    """Return the image of a host that has Docker, as bootstrap installs it."""
    base = bare()
    bootstrap = b"".join((FOLDER / name).read_bytes() for name in ("bootstrap.sh", "packages.sh", "pools.sh"))
    image = f"kamal-dev-test/host-with-docker:{_short(recipe() + bootstrap)}"
    return _once(image, lambda image: _bootstrap(image, base))


def remove(*names: str) -> None:
    """Remove containers with all that is theirs, all at the same time: the disk of a host takes seconds."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: docker("rm", "--force", "--volumes", name), names))


def recipe() -> bytes:
    """Return what a bare host is made of."""
    return DOCKERFILE.read_bytes() + DOCKERFILE.with_name("cgroup.sh").read_bytes()


def docker(*words: str, stdin: bytes | None = None) -> str:
    """Run docker on this machine, and return its stdout; it must succeed."""
    done = subprocess.run(["docker", *words], input=stdin, capture_output=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def _once(image: str, make: Callable[[str], None]) -> str:
    """Make an image where it is not there; of two processes that want it, one makes it."""
    with FileLock(Path(tempfile.gettempdir()) / f"kamal-dev-test-hosts.{os.getuid()}.lock"):
        if not docker("image", "ls", "--quiet", image):
            make(image)
    return image


def _build(image: str) -> None:
    subprocess.run([ROOT / "bin/base-images", "debian:12"], check=True, timeout=900)
    build = ("buildx", "build", "--builder", docker("context", "show"), "--load", "--provenance=false")
    docker(*build, "--label", LABEL, "--tag", image, "--file", str(DOCKERFILE), str(DOCKERFILE.parent))


def _bootstrap(image: str, base: str) -> None:
    name = f"kamal-dev-test-{_short(image.encode())}"
    subprocess.run(["docker", "rm", "--force", "--volumes", name], check=False, capture_output=True)
    boot(base, name)
    try:
        step = host.bootstrap(scripts(), "prepare")
        docker("exec", "--interactive", "--env", "HOME=/root", name, *step.argv, stdin=step.stdin)
        docker("exec", name, "sh", "-c", FORGET)
        docker("commit", name, image)
    finally:
        docker("rm", "--force", "--volumes", name)


def _short(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:12]
