"""A real host for the scripts: systemd and sshd in a privileged container, Docker made by bootstrap."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping

import pytest

from kamal_dev.commands import host
from tests import hosts
from tests.host.lab import (
    FIRST_BOOT,
    LABEL,
    PREFIX,
    TINY,
    TINY_DOCKERFILE,
    USERS,
    Bootstrapped,
    Lab,
    numbers,
    token,
)
from tests.hosts import docker


@pytest.fixture(scope="session")
def scripts() -> Mapping[str, str]:
    return hosts.scripts()


@pytest.fixture(scope="session")
def tiny() -> bytes:
    """The image that the test services run, as `docker save` writes it."""
    hosts.bare()  # debian:12 is there after it
    build = ("buildx", "build", "--builder", docker("context", "show"), "--load", "--provenance=false")
    docker(*build, "--label", LABEL, "--tag", TINY, "-", stdin=TINY_DOCKERFILE)
    return subprocess.run(["docker", "image", "save", TINY], check=True, capture_output=True).stdout


@pytest.fixture(scope="package")
def make_lab() -> Iterator[Callable[..., Lab]]:
    """Make hosts, from an image of `tests.hosts`; all go at the end."""
    hosts.remove(*docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}").split())
    made: list[str] = []

    def make(name: str, image: str) -> Lab:
        made.append(f"{PREFIX}-host-{name}")
        lab = Lab(hosts.boot(image, made[-1], LABEL))
        lab.sh(USERS)
        return lab

    yield make
    hosts.remove(*made)


@pytest.fixture(scope="package")
def bootstrapped(make_lab: Callable[..., Lab], scripts: Mapping[str, str]) -> Bootstrapped:
    """A bare host made ready by a user with sudo, and once more by root."""
    lab = make_lab("bare", hosts.bare())
    lab.sh(FIRST_BOOT)
    return Bootstrapped(
        lab,
        before=lab.run(host.facts(scripts, "x-1", images=("postgres:15",)), user="dev").facts,
        refused=lab.run(host.bootstrap(scripts, token()), user="asked"),
        first=lab.run(host.bootstrap(scripts, token(), host.question("x-1")), user="dev"),
        second=lab.run(host.bootstrap(scripts, token())),
    )


@pytest.fixture(scope="package")
def lab(make_lab: Callable[..., Lab], scripts: Mapping[str, str], tiny: bytes) -> Lab:
    """A host with Docker and the tiny image."""
    made = make_lab("ready", hosts.prepared())
    made.sh("until docker version; do sleep 0.2; done")
    assert made.run(host.bootstrap(scripts, token()), user="dev").outcome.ok
    assert made.run(host.load(scripts), stdin=tiny).code == 0
    return made


@pytest.fixture
def stack(lab: Lab, scripts: Mapping[str, str]) -> Iterator[str]:
    """A name for a stack, which is removed after the test."""
    name = f"s{next(numbers)}-1"
    yield name
    lab.run(host.remove(scripts, name))
    lab.run(host.remove(scripts, name), user="dev")
