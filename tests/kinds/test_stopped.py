"""What is said of a stack that somebody stopped on purpose: from rows as the engine gives them, in every shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kinds.test_standing import APP, DB, row, weighed
from tests.shells import SHELLS

STOPPED_APP, STOPPED_DB = row("app", "exited", code=137, is_main=True), row("db", "exited", code=143)


def note(tmp_path: Path, *services: str) -> None:
    (tmp_path / ".kamal-dev/blog-1").mkdir(parents=True)
    (tmp_path / ".kamal-dev/blog-1/stopped").write_text("".join(f"{service}\n" for service in services))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_stack_whose_services_were_stopped_on_purpose_is_stopped(tmp_path: Path, shell: str) -> None:
    note(tmp_path, "app", "db")
    assert weighed(tmp_path, STOPPED_APP, STOPPED_DB, shell=shell) == ("stopped", set())


def test_a_service_that_was_stopped_on_purpose_is_fine(tmp_path: Path) -> None:
    note(tmp_path, "db")
    assert weighed(tmp_path, APP, STOPPED_DB) == ("up", set())
    assert weighed(tmp_path, STOPPED_APP, DB)[0] == "degraded", "the other one was not"
    assert weighed(tmp_path, STOPPED_APP, STOPPED_DB)[0] == "down"


def test_without_a_note_what_ended_is_down(tmp_path: Path) -> None:
    assert weighed(tmp_path, STOPPED_APP, STOPPED_DB)[0] == "down"
