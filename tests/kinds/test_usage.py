"""What containers use (`host/usage.sh`), from files as the kernel has them: no engine is needed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.hosts import FOLDER
from tests.shells import SHELLS

ID = "c0ffee" * 10
SCRIPT = """
here=$0
. "$here/lib.sh"; . "$here/stack.sh"; . "$here/usage.sh"
here=$1 cgroups=$2
use_stack blog-1
"""


def told(tmp_path: Path, script: str, shell: str = "sh") -> list[dict[str, Any]]:
    """Run this with the functions, and return its events."""
    argv = (*shell.split(), "-c", SCRIPT + script, str(FOLDER), str(tmp_path), str(tmp_path / "cgroups"))
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///none"}
    ended = subprocess.run(argv, check=False, capture_output=True, text=True, env=environment, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return [json.loads(line) for line in ended.stdout.splitlines()]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def version_1(groups: Path) -> None:
    write(groups / f"cpuacct/docker/{ID}/cpuacct.usage", "2500000000\n")
    write(groups / f"memory/docker/{ID}/memory.usage_in_bytes", "9000\n")
    write(groups / f"memory/docker/{ID}/memory.stat", "cache 7\ninactive_file 1\ntotal_inactive_file 2000\n")


def version_2(groups: Path) -> None:
    write(groups / "cgroup.controllers", "cpu memory\n")
    write(groups / f"system.slice/docker-{ID}.scope/cpu.stat", "usage_usec 2500000\nuser_usec 5\n")
    write(groups / f"system.slice/docker-{ID}.scope/memory.current", "9000\n")
    write(groups / f"system.slice/docker-{ID}.scope/memory.stat", "anon 7\ninactive_file 2000\n")


VERSIONS = {
    "1": (version_1, f"4:memory:/docker/{ID}\n3:cpu,cpuacct:/docker/{ID}/init.scope\n0::/docker/{ID}\n"),
    "2": (version_2, f"0::/system.slice/docker-{ID}.scope/init.scope\n"),
}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("version", VERSIONS)
def test_processor_and_memory_are_read_from_both_versions_of_cgroups(tmp_path: Path, version: str, shell: str) -> None:
    make, lines = VERSIONS[version]
    make(tmp_path / "cgroups")
    write(tmp_path / "proc/42/cgroup", lines)
    script = (FOLDER / "usage.sh").read_text()
    assert script.count('"/proc/$2/cgroup"') == 2
    write(tmp_path / "usage.sh", script.replace('"/proc/$2/cgroup"', '"$here/proc/$2/cgroup"'))
    (event,) = told(
        tmp_path,
        f"""
        . "$here/usage.sh"
        cgroups=$2
        find_cgroup {ID} 42
        samples="blog-1|{ID}|0|1500000|$cgroup_cpu|$cgroup_memory
"
        clock() {{ now=500; }}
        show_usage
        """,
        shell,
    )
    assert (event["cpu"], event["cpu_seconds"], event["memory"]) == (200.0, 2.5, 7000), "a second of two processors"


def test_a_container_that_ended_meanwhile_is_left_out(tmp_path: Path) -> None:
    assert told(tmp_path, f'samples="blog-1|{ID}|0|1500000|$here/none|$here/none\n"; show_usage') == []


MEASURE = """
mkdir -p "$home"
volumes="volume|a|data|$here/data
volume|b|data|$here/data
volume|b|lost|$here/none"
as_root() { "$@"; }
begin_measuring
wait_for_figures blog-1
show_volumes
"""
# However long it takes.
MEASURED = MEASURE.replace("wait_for_figures blog-1", "while is_measuring blog-1; do sleep 0.05; done")


@pytest.mark.parametrize("shell", SHELLS)
def test_volumes_are_measured_once_a_minute(tmp_path: Path, shell: str) -> None:
    write(tmp_path / "data/file", "x" * 100_000)
    sizes = [(item["container"], item["name"], item["bytes"]) for item in told(tmp_path, MEASURED, shell)]
    assert [size[:2] for size in sizes] == [("a", "data"), ("b", "data"), ("b", "lost")]
    assert 98_304 <= sizes[0][2] <= 131_072
    assert (sizes[1][2], sizes[2][2]) == (sizes[0][2], None)
    write(tmp_path / "data/more", "x" * 100_000)
    again = told(tmp_path, f"measure() {{ echo measured; }}{MEASURED}", shell)
    assert [item["bytes"] for item in again] == [size[2] for size in sizes], "they are still fresh"


@pytest.mark.parametrize("shell", SHELLS)
def test_a_status_does_not_wait_for_volumes_that_take_long(tmp_path: Path, shell: str) -> None:
    write(tmp_path / "data/file", "x")
    slow = 'size_of() { until [ -e "$here/measured" ]; do sleep 0.1; done; }'
    try:
        # It returns when nothing holds its output any more, as a connection does.
        volumes = told(tmp_path, slow + MEASURE, shell)
    finally:
        write(tmp_path / "measured", "")
    assert {volume["bytes"] for volume in volumes} == {None}
