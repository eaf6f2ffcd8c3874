"""What holds for all tests."""

import os

from hypothesis import settings

# What one worker of pytest-xdist makes on the engine is nothing to another. The labs read this when they are imported.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    os.environ["KAMAL_DEV_TEST_PREFIX"] = f"{os.environ.get('KAMAL_DEV_TEST_PREFIX', 'kd-test')}-{worker}"

# How long an example takes says more about the machine than about the code.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
