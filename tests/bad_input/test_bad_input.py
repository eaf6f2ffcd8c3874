"""Bad input is one clear message with its place and exit code 2, soon, before anything is written or reached."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.bad_input.command import Ended, Input, content, run, write
from tests.bad_input.inputs import ACCEPTED, REFUSED

DEPLOY = ("deploy", "--yes", "--count", "1")
HARMLESS = ("docker compose version",)


def check_cost(ended: Ended) -> None:
    assert ended.seconds < 2
    assert ended.megabytes < 500


@pytest.mark.parametrize("given", REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_with_its_place(given: Input, tmp_path: Path) -> None:
    root = write(given, tmp_path)
    before = content(root)
    ended = run(root, given.words or DEPLOY, given.environment)
    assert ended.exit_code == 2, ended.errors
    assert re.search(given.says, ended.errors), ended.errors
    assert ended.errors.lower().count("error: ") == 1
    assert "Traceback" not in ended.errors
    assert "defect" not in ended.errors
    assert len(ended.errors) < 1000
    assert ended.output == ""
    assert content(root) == before
    assert [call for call in ended.calls if not call.startswith(HARMLESS)] == []
    check_cost(ended)


@pytest.mark.parametrize("given", ACCEPTED.values(), ids=ACCEPTED)
def test_odd_input_that_is_good_is_rendered(given: Input, tmp_path: Path) -> None:
    root = write(given, tmp_path)
    before = content(root)
    ended = run(root, ("render", str(tmp_path / "there"), "--json"), given.environment)
    assert ended.exit_code == 0, ended.errors
    assert json.loads(ended.output)["files"]
    assert re.search(given.says, ended.output), ended.output
    assert (tmp_path / "there" / "manifest.json").exists()
    assert content(root) == before
    check_cost(ended)
