"""What the tests against real parts share: one lab, and three hosts that are made once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import bare, prepared
from tests.real.lab import COUNT, PREFIX, Ended, Host, Lab, Repository
from tests.real.watch import Watch

HERE = Path(__file__).parent
SHARED = "hosts"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.real)


@dataclass(frozen=True)
class Guestbook:
    """The example on three hosts, and how its first deploys went: to one without Docker, then to all."""

    repository: Repository
    first: Ended
    others: Ended
    watch: Watch
    hosts: tuple[Host, ...]

    @property
    def placed(self) -> list[tuple[Host, str]]:
        """Each host with its stack."""
        return [(host, self.repository.stack(index)) for index, host in enumerate(self.hosts, 1)]

    def deploy(self, *words: str, **options: Any) -> Ended:
        """Deploy again to all three."""
        return self.repository.deploy("--count", str(COUNT), *words, **options)


@pytest.fixture(scope="module", autouse=True)
def _tidy(lab: Lab) -> Iterator[None]:
    """Leave to the next file the shared hosts alone, with nothing on them."""
    yield
    lab.tidy(f"{PREFIX}-{SHARED}")


@pytest.fixture(scope="module")
def guestbook(lab: Lab) -> Guestbook:
    """Deploy the example where nothing was: no registry, no host, no image. Whether that went well, tests say."""
    repository = lab.guestbook()
    settings = (repository.root / "config/dev.yml").read_text()
    words = ("--yes", "--verbose")
    with Watch() as watch:
        first = repository.attempt("deploy", "--count", "1", *words, timeout=420)
        repository.commit({"config/dev.yml": settings.replace(bare(), prepared())})
        others = repository.attempt("deploy", "--count", str(COUNT), *words, timeout=420)
    hosts = lab.hosts(repository)
    assert len(hosts) == COUNT, f"{first}\n{others}"
    return Guestbook(repository, first, others, watch, hosts)


@pytest.fixture(scope="package")
def hosts(lab: Lab) -> tuple[Host, ...]:
    """Three hosts that have Docker; stacks of different names live there side by side."""
    repository = lab.small(SHARED, [])
    repository.commit({"config/dev.yml": lab.made_hosts(repository, count=COUNT)})
    repository.dev("deploy", "--yes", timeout=420)
    return lab.hosts(repository)


@pytest.fixture(scope="package")
def host(hosts: tuple[Host, ...]) -> Host:
    return hosts[0]
