"""The daemon.json that a host gets before Docker is installed, made by the very function that bootstrap uses."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.hosts import FOLDER

POOLS = "default-address-pools"


def merged(text: str) -> str:
    script = f". {FOLDER}/lib.sh; . {FOLDER}/packages.sh; with_pools"
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
