"""Which worker of pytest-xdist runs what, and in which order."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

# The tests of each share hosts that take long to make: they stay on one worker.
TOGETHER = ("tests/faults/test_", "tests/host/test_host_")
# Before the other tests without hosts: a file that takes long and comes last keeps one worker busy alone.
LONG = ("tests/kinds/", "tests/workspace/")


class Distribution(LoadFileScheduling):
    """Give a file, or the files that belong together, to a worker that has nothing to do, in the order of the tests."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((prefix for prefix in TOGETHER if file.startswith(prefix)), file)


def sort(items: list[pytest.Item]) -> None:
    """Put files with real hosts first: their workers wait most of the time, and those without fill the end evenly."""
    real = {item.path for item in items if item.get_closest_marker("real")}
    items.sort(key=lambda item: (item.path not in real, not item.nodeid.startswith(LONG)))
