"""A real host for the scripts: systemd and sshd in a privileged container, Docker made by bootstrap."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Callable, Iterator, Mapping

import pytest

from kamal_dev.commands import host
from tests.host.lab import (
    FIRST_BOOT,
    FOLDER,
    LABEL,
    PREFIX,
    ROOT,
    TINY,
    TINY_DOCKERFILE,
    USERS,
    Bootstrapped,
    Lab,
    docker,
    numbers,
    token,
)


@pytest.fixture(scope="session")
def scripts() -> Mapping[str, str]:
    return {name: (FOLDER / name).read_text() for name in host.SCRIPTS}


@pytest.fixture(scope="session")
def debian() -> None:
    subprocess.run([ROOT / "bin/base-images", "debian:12"], check=True, timeout=900)


@pytest.fixture(scope="session")
def tiny(debian: None) -> bytes:
    """The image that the test services run, as `docker save` writes it."""
    build = ("buildx", "build", "--builder", docker("context", "show"), "--load", "--provenance=false")
    docker(*build, "--label", LABEL, "--tag", TINY, "-", stdin=TINY_DOCKERFILE)
    return subprocess.run(["docker", "image", "save", TINY], check=True, capture_output=True).stdout


@pytest.fixture(scope="session")
def make_lab(debian: None) -> Iterator[Callable[[str], Lab]]:
    """Make hosts that have sshd and systemd and no Docker; all go at the end."""
    for old in docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split():
        docker("rm", "--force", "--volumes", old)
    dockerfile = (ROOT / "kamal_dev/providers/host.Dockerfile").read_bytes()
    image = f"kamal-dev-test/host:{hashlib.sha256(dockerfile).hexdigest()[:12]}"
    build = ("buildx", "build", "--builder", docker("context", "show"), "--load", "--provenance=false")
    docker(*build, "--label", LABEL, "--tag", image, "-", stdin=dockerfile)
    is_v1 = docker("info", "--format", "{{.CgroupVersion}}") == "1"
    groups = ("--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup") if is_v1 else ("--cgroupns=private",)
    made: list[str] = []

    def make(name: str) -> Lab:
        name = f"{PREFIX}-host-{name}"
        docker(
            *("run", "--detach", "--privileged", *groups, "--tmpfs=/run", "--tmpfs=/run/lock", "--label", LABEL),
            *("--volume=/var/lib/docker", "--volume=/var/lib/containerd", "--publish=127.0.0.1::22"),
            *(f"--name={name}", f"--hostname={name}", image),
        )
        made.append(name)
        lab = Lab(name)
        lab.sh("until systemctl is-system-running --quiet || systemctl is-active --quiet ssh; do sleep 0.2; done")
        lab.sh(USERS)
        return lab

    yield make
    for name in made:
        docker("rm", "--force", "--volumes", name)


@pytest.fixture(scope="session")
def bootstrapped(make_lab: Callable[[str], Lab], scripts: Mapping[str, str]) -> Bootstrapped:
    """A bare host made ready by a user with sudo, and once more by root."""
    lab = make_lab("1")
    lab.sh(FIRST_BOOT)
    return Bootstrapped(
        lab,
        before=lab.run(host.facts(scripts, "x-1", images=("postgres:15",)), user="dev").facts,
        refused=lab.run(host.bootstrap(scripts, token()), user="asked"),
        first=lab.run(host.bootstrap(scripts, token()), user="dev"),
        second=lab.run(host.bootstrap(scripts, token())),
    )


@pytest.fixture(scope="session")
def lab(bootstrapped: Bootstrapped, scripts: Mapping[str, str], tiny: bytes) -> Lab:
    """A host with Docker and the tiny image."""
    assert bootstrapped.lab.run(host.load(scripts), stdin=tiny).code == 0
    return bootstrapped.lab


@pytest.fixture
def stack(lab: Lab, scripts: Mapping[str, str]) -> Iterator[str]:
    """A name for a stack, which is removed after the test."""
    name = f"s{next(numbers)}-1"
    yield name
    lab.run(host.remove(scripts, name))
    lab.run(host.remove(scripts, name), user="dev")
