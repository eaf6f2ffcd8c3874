"""Hosts to measure on, and the lab that they are in."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real import lab as labs
from tests.real.lab import Host, Lab


@contextmanager
def made(count: int) -> Iterator[tuple[Lab, tuple[Host, ...]]]:
    """Make this many hosts with Docker, and remove them and all that was made on this machine in the end."""
    labs.clean()
    try:
        with tempfile.TemporaryDirectory(prefix="dev-bench-") as folder:
            lab = Lab(Path(folder))
            maker = lab.small("hosts", [])
            maker.commit({"config/dev.yml": lab.made_hosts(maker, count=count)})
            maker.dev("deploy", "--yes", timeout=600)
            yield lab, lab.hosts(maker)
    finally:
        labs.clean()
