"""Set the standing stack up: for the tests, and for the commands that take longer."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import hosts
from tests.faults.front import Front
from tests.faults.proxy import Proxy
from tests.faults.standing import FILE, Database, Standing, repository
from tests.host.lab import TINY
from tests.real import lab as labs
from tests.real.lab import Host, Lab, docker, is_listening, wait_for

ROOT = Path(__file__).parents[2]


@contextmanager
def laboratory(folder: Path) -> Iterator[Lab]:
    """Clean up before and afterwards."""
    labs.clean()
    yield Lab(folder)
    labs.clean()


@contextmanager
def engine(lab: Lab, database: Database = FILE) -> Iterator[Host]:
    """Make a host with Docker, and with the images that come from elsewhere."""
    subprocess.run([ROOT / "bin/base-images"], check=True, timeout=900)
    hosts.tiny_image()
    disk = "160M" if database is FILE else "1200M"
    host = hosts.ready(lab.folder, "1", engine=disk)
    try:
        hosts.load(host, *{TINY, database.image})
        yield host
    finally:
        hosts.remove(host)


@contextmanager
def registry(lab: Lab) -> Iterator[Front]:
    """Start a registry, seen through its front."""
    port = lab.free_port()
    words = ("--name", f"{labs.PREFIX}-faults-registry", "--label", f"kamal-dev.test={labs.PREFIX}")
    docker("run", "--detach", *words, "--publish", f"127.0.0.1:{port}:5000", "registry:2")
    wait_for("the registry", lambda: is_listening(port))
    with Front(port) as front:
        yield front
        front.shutdown()


@contextmanager
def stand(lab: Lab, host: Host, front: Front, database: Database = FILE) -> Iterator[Standing]:
    """Deploy the stack that stands."""
    proxy = Proxy(host.port)
    made = repository(lab, "stand", host, f"localhost:{front.port}", proxy.port, database=database)
    standing = Standing(lab, host, proxy, front, made, database)
    try:
        standing.begin()
        yield standing
    finally:
        standing.heal()
        proxy.close()


@contextmanager
def all_of_it(database: Database) -> Iterator[Standing]:
    """Set everything up, for a command."""
    with (
        tempfile.TemporaryDirectory(prefix="faults-") as folder,
        laboratory(Path(folder)) as lab,
        engine(lab, database) as host,
        registry(lab) as front,
        stand(lab, host, front, database) as standing,
    ):
        yield standing
