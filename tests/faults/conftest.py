"""One standing stack for all faults, and one lab."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults import hosts
from tests.faults.stand import engine, registry, stand
from tests.faults.standing import Standing
from tests.faults.table import Fault
from tests.real.lab import Host, Lab

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


@pytest.fixture(scope="package")
def host(lab: Lab) -> Iterator[Host]:
    """A host with Docker, and with the images that come from elsewhere."""
    with engine(lab) as host:
        yield host


@pytest.fixture(scope="package")
def bare(lab: Lab) -> Iterator[Host]:
    """A host without Docker."""
    host = hosts.bare(lab.folder, "bare")
    yield host
    hosts.remove(host)


@pytest.fixture(scope="package")
def standing_host(lab: Lab, host: Host) -> Iterator[Standing]:
    """The stack that stands, before any test has broken something."""
    with registry(lab) as front, stand(lab, host, front) as standing:
        yield standing


@pytest.fixture
def standing(standing_host: Standing) -> Iterator[Standing]:
    """The stack, with one more row and file; whatever a test has broken is mended after it."""
    standing_host.keep()
    yield standing_host
    standing_host.heal()
    standing_host.tidy()
