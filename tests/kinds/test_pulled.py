"""How many bytes of a pull have arrived (`host/engine_images.sh`), from logs as Docker draws them on a terminal."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.hosts import FOLDER
from tests.shells import AWKS

START = "12: Pulling from acme/blog\r\n\r\n"
WAITING = "\x1b[1A\x1b[2K\r096513ea2d1f: Pulling fs layer \r\x1b[1B\r\n"
FIRST = "\x1b[2A\x1b[2K\r4407319858a0: Downloading  73.99MB/90MB\r\x1b[2B"
SECOND = "\x1b[1A\x1b[2K\r096513ea2d1f: Downloading  500kB/1MB\r\x1b[1B"
THERE = "\x1b[1A\x1b[2K\rc64c8c75689f: Already exists \r\x1b[1B"
DONE = "\x1b[2A\x1b[2K\r4407319858a0: Extracting  1MB/90MB\r\x1b[2B"


def counted(folder: Path, awk: str, *logs: str) -> str:
    """Return what the function prints, with this awk first on the PATH."""
    name, *words = awk.split()
    program = folder / "bin/awk"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which(name)} {" ".join(words)} "$@"\n')
    program.chmod(0o755)
    paths = []
    for number, log in enumerate(logs):
        paths.append(folder / f"pull.{number}")
        paths[-1].write_bytes(log.encode())
    script = 'PATH=$1:$PATH; shift; . "$0/engine_images.sh"; pulled_bytes "$@"'
    argv = ("sh", "-c", script, str(FOLDER), str(program.parent), *map(str, paths))
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("awk", AWKS)
def test_the_bytes_of_all_layers_of_all_images_are_added(tmp_path: Path, awk: str) -> None:
    assert counted(tmp_path, awk, START + FIRST + THERE, START + FIRST + WAITING + SECOND) == "74490000 91000000"


@pytest.mark.parametrize(
    ("log", "printed"),
    [
        pytest.param(START + WAITING + FIRST, "73990000", id="no total while the size of a layer is unknown"),
        pytest.param(START + FIRST + SECOND + DONE, "90500000 91000000", id="an extracted layer has arrived"),
        pytest.param(START + WAITING, "", id="nothing before the first bytes"),
        pytest.param("Error response from daemon: manifest unknown\r\n", "", id="an error"),
    ],
)
def test_a_total_is_only_printed_when_it_is_known(tmp_path: Path, log: str, printed: str) -> None:
    assert counted(tmp_path, AWKS[0], log) == printed
