"""What holds for all tests."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import distribution

if TYPE_CHECKING:
    from tests.real.lab import Lab

# What one worker of pytest-xdist makes on the engine is nothing to another. The labs read this when they are imported.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["KAMAL_DEV_TEST_PREFIX"] = f"{os.environ.get('KAMAL_DEV_TEST_PREFIX', 'kd-test')}-{worker}"

# How long an example takes says more about the machine than about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort them once the folders have marked theirs."""
    distribution.sort(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> distribution.Distribution:
    """Distribute them as `--dist=loadfile` does, with some files together."""
    return distribution.Distribution(config, log)


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Lab"]:
    """One lab for all that need real hosts: what it cleans up, it alone has made."""
    # Its names begin with the prefix, which is set above.
    from tests.real import lab as labs

    labs.clean()
    yield labs.Lab(tmp_path_factory.mktemp("lab"))
    labs.clean()


@pytest.fixture(scope="session", autouse=True)
def _connections() -> Iterator[None]:
    """Let runs keep connections for each other, as those of a user do, and end the last ones with the tests."""
    # Names of sockets must be short.
    folder = tempfile.mkdtemp(prefix="kd-", dir="/tmp")
    os.environ["XDG_RUNTIME_DIR"] = folder
    os.environ.pop("CI", None)
    yield
    from tests.kinds import sshd

    sshd.end_connections(Path(folder))
