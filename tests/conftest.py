"""What holds for all tests."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.real.lab import Lab

# What one worker of pytest-xdist makes on the engine is nothing to another. The labs read this when they are imported.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["KAMAL_DEV_TEST_PREFIX"] = f"{os.environ.get('KAMAL_DEV_TEST_PREFIX', 'kd-test')}-{worker}"

# How long an example takes says more about the machine than about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Lab"]:
    """One lab for all that need real hosts: what it cleans up, it alone has made."""
    # Its names begin with the prefix, which is set above.
    from tests.real import lab as labs

    labs.clean()
    yield labs.Lab(tmp_path_factory.mktemp("lab"))
    labs.clean()
