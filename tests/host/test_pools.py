"""The daemon.json that a host gets before Docker is installed, made by the very function that bootstrap uses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.hosts import FOLDER

POOLS = "default-address-pools"


def merged(text: str) -> str:
    script = f". {FOLDER}/lib.sh; . {FOLDER}/pools.sh; with_pools"
    done = subprocess.run(["sh", "-c", script], input=text, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.parametrize("text", ["", "\n", "{}", "{\n}\n"])
def test_where_nothing_is_said_the_pools_are(text: str) -> None:
    found = json.loads(merged(text))
    assert list(found) == [POOLS]
    assert next(pool["base"] for pool in found[POOLS]) == "172.17.0.0/16"


@pytest.mark.parametrize(
    "text",
    [
        '{"registry-mirrors": ["http://localhost:5000"]}',
        '\n {\n  "log-opts": {"max-size": "10m"},\n  "debug": true\n}\n',
        '{"labels": ["a}b", "{"], "path": "C:\\\\x \\u00e9"}',
    ],
)
def test_what_a_file_says_stays_as_it_is(text: str) -> None:
    found = json.loads(merged(text))
    assert found.pop(POOLS)
    assert found == json.loads(text)
    assert merged(text).rstrip().endswith(text.partition("{")[2].rstrip())


@pytest.mark.parametrize("text", ["[]", "debug: true", '{"debug": true', "null"])
def test_a_file_that_is_no_json_object_is_an_error_that_names_it(tmp_path: Path, text: str) -> None:
    (tmp_path / "daemon.json").write_text(text)
    script = f"""
    . {FOLDER}/lib.sh; . {FOLDER}/pools.sh
    engine_settings=/etc/docker/daemon.json
    as_root() {{ [ "$1" = cat ] || exit 9; cat "{tmp_path}/daemon.json"; }}
    fail() {{ echo "$@"; exit 1; }}
    here={tmp_path}/here; mkdir "$here"
    add_pools
    """
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == "daemon /etc/docker/daemon.json is not a JSON object: fix or remove it\n"
