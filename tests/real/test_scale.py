"""Many stacks on many hosts: the simulation of `tests.benchmarks.scale` itself, with few hosts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import dev
from tests.benchmarks import scale

HOSTS = 3


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The repository of thirty stacks on three hosts."""
    folder = tmp_path_factory.mktemp("scale")
    with scale.simulated(folder, HOSTS) as port:
        made = scale.project(folder, HOSTS, port)
        scale.fill(folder, made)
        yield made


def steps(output: str, where: str = "") -> list[str]:
    """Return the commands of a host or of this machine that `--verbose` shows."""
    return re.findall(rf"^(?:\d\d:\d\d:\d\d )?{re.escape(where)}\$ (.*)$", output, re.MULTILINE)


def test_the_status_of_thirty_stacks_takes_one_connection_and_one_exec_for_each_host(root: Path) -> None:
    done = dev.run(("status", "--verbose"), cwd=root, env={**os.environ, "CI": "true"}, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()[1:]]
    assert {row[0] for row in rows} == {f"scale-{number}" for number in range(1, HOSTS * scale.STACKS + 1)}
    assert {row[2] for row in rows} == {"up"}, done.stdout
    asked = re.findall(r"^(?:\d\d:\d\d:\d\d )?(127\.77\.0\.\d+:\d+)\$ (.*)$", done.stderr, re.MULTILINE)
    assert sorted(where.rpartition(":")[0] for where, _ in asked) == scale.addresses(HOSTS), done.stderr
    assert {command for _, command in asked} == {"status"}
    connections = [step for step in steps(done.stderr) if step.startswith("ssh ") and " -G " not in step]
    assert len(connections) == HOSTS, done.stderr


def test_what_is_measured_succeeds_and_finds_nothing_to_change(root: Path) -> None:
    row = scale.measure(root, HOSTS, ("deploy", "--yes"))
    # A process counts the memory of the one that has started it, so that the limit only holds for the benchmark.
    assert 0 < row.here < 60 and row.there > 0 and row.megabytes > 10, str(row)
