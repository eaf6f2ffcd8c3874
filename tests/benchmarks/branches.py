"""Measure many stacks from branches on three hosts: `python -m tests.benchmarks.branches [STACKS]`.

What it takes to create them in one command, over what three of them take; then with a new commit on each branch, and
again without a change.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("KAMAL_DEV_TEST_PREFIX", "kd-bench")

from tests.real import lab as labs
from tests.real.branches import Branches
from tests.real.lab import COUNT, Lab

STACKS = 10
MOST = 3.0


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def measure(branches: Branches) -> bool:
    """Print the rows; whether the limit is kept."""
    repository, few = branches.repository, range(1, COUNT + 1)

    def remove() -> None:
        repository.dev("remove", "feature-*", "--yes", timeout=600)

    # The builder, the registry and the hosts get what all versions have in common.
    branches.create(few)
    remove()
    branches.commit("few")
    three = seconds(lambda: branches.create(few))
    remove()
    branches.commit("all")
    every = seconds(lambda: branches.create(range(1, branches.count + 1)))
    branches.commit("newer")
    newer = seconds(lambda: repository.dev("deploy", "feature-*", timeout=900))
    again = seconds(lambda: repository.dev("deploy", "feature-*", timeout=900))
    removed = seconds(remove)
    ratio = every / three
    mark = "✓" if ratio < MOST else "✗"
    over = f"{ratio:.2f} x the time of three, {three:.1f} s (less than {MOST:g} x)"
    print(f"{mark} {branches.count} stacks on {COUNT} hosts: {every:.1f} s, {over}")
    print(f"  a commit on each branch: {newer:.1f} s; no change: {again:.1f} s; removed: {removed:.1f} s")
    return ratio < MOST


def main() -> int:
    """Measure on hosts made for it."""
    count = int(sys.argv[1]) if sys.argv[1:] else STACKS
    labs.clean()
    try:
        with tempfile.TemporaryDirectory(prefix="dev-bench-") as folder:
            os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"
            lab = Lab(Path(folder))
            maker = lab.small("hosts", [])
            maker.commit({"config/dev.yml": lab.made_hosts(maker, COUNT)})
            maker.dev("deploy", "--yes", timeout=600)
            return int(not measure(Branches.of(lab, lab.hosts(maker), count)))
    finally:
        labs.clean()


if __name__ == "__main__":
    sys.exit(main())
