"""One standing stack for all faults, and one lab."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults import hosts
from tests.faults.front import Front
from tests.faults.proxy import Proxy
from tests.faults.standing import Standing, repository
from tests.faults.table import Fault
from tests.host.lab import TINY
from tests.real import lab as labs
from tests.real.lab import Host, Lab, docker, is_listening, wait_for

ROOT = Path(__file__).parents[2]
PASSED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and "pure" not in item.keywords:
            item.add_marker(pytest.mark.real)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.fixture(autouse=True)
def _row(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold every test that produces a fault to what the page says of it."""
    yield
    if hasattr(request.node, "callspec") and request.node.stash.get(PASSED, False):
        fault: Fault | None = request.node.callspec.params.get("fault")
        assert not fault or fault.is_checked, "the test never compared what was said with the page"


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    subprocess.run([ROOT / "bin/base-images"], check=True, timeout=900)
    hosts.tiny_image()
    labs.clean()
    yield Lab(tmp_path_factory.mktemp("faults"))
    labs.clean()


@pytest.fixture(scope="session")
def host(lab: Lab) -> Iterator[Host]:
    """A host with Docker, and with the images that come from elsewhere."""
    host = hosts.ready(lab.folder, "1")
    hosts.load(host, TINY)
    yield host
    hosts.remove(host)


@pytest.fixture(scope="session")
def bare(lab: Lab) -> Iterator[Host]:
    """A host without Docker."""
    host = hosts.bare(lab.folder, "bare")
    yield host
    hosts.remove(host)


@pytest.fixture(scope="session")
def front(lab: Lab) -> Iterator[Front]:
    """A registry, seen through its front."""
    port = lab.free_port()
    words = ("--name", f"{labs.PREFIX}-faults-registry", "--label", f"kamal-dev.test={labs.PREFIX}")
    docker("run", "--detach", *words, "--publish", f"127.0.0.1:{port}:5000", "registry:2")
    wait_for("the registry", lambda: is_listening(port))
    with Front(port) as front:
        yield front
        front.shutdown()


@pytest.fixture(scope="session")
def standing_host(lab: Lab, host: Host, front: Front) -> Iterator[Standing]:
    proxy = Proxy(host.port)
    made = repository(lab, "stand", host, f"localhost:{front.port}", proxy.port)
    standing = Standing(lab, host, proxy, front, made)
    standing.begin()
    yield standing
    proxy.close()


@pytest.fixture
def standing(standing_host: Standing) -> Iterator[Standing]:
    """The stack, with one more row and file; whatever a test has broken is mended after it."""
    standing_host.keep()
    yield standing_host
    standing_host.heal()
