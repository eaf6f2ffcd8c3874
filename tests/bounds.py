"""Bound what hostile input may cost, in seconds of this process, so that a busy machine makes no difference."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# Counting covered lines makes everything slower.
TRACED = 4


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where the block needs more than that."""
    started = time.process_time()
    yield
    assert time.process_time() - started < seconds * (TRACED if sys.gettrace() else 1)
