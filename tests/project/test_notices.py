"""What is told of a whole project before a deploy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kamal_dev.output import Output
from kamal_dev.pipeline.run.run import Run
from tests.workspace.lab import write


def notices(root: Path, devcontainer: str, **files: str) -> list[str]:
    write(root, {".devcontainer.json": devcontainer, **files})
    run = Run.open(root, Output(lambda event: None), environment={"PATH": os.environ["PATH"]})
    return [str(notice) for notice in run.project.notices]


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        ('"privileged": true', True),
        ('"privileged": false', False),
        ('"init": true', False),
        ('"runArgs": ["--privileged"]', False),
    ],
)
def test_the_power_that_devcontainer_json_gives_is_told_at_its_line(
    tmp_path: Path, said: str, *, is_told: bool
) -> None:
    found = notices(tmp_path, f'{{"image": "debian:12",\n  {said}}}')
    named = [text for text in found if text.startswith(".devcontainer.json:2: `privileged`")]
    assert len(named) == is_told
    # A flag of the generated service is told of by the service.
    is_given = "privileged" in said and "false" not in said
    assert sum("root access to the host" in text for text in found) == is_given


def test_a_variable_of_the_stack_that_the_container_sets_itself_is_told(tmp_path: Path) -> None:
    found = notices(tmp_path, '{"image": "debian:12",\n "containerEnv": {"NODE_NAME": "x", "OTHER": "y"}}')
    assert [text.partition(" ")[0] for text in found if "NODE_NAME" in text] == [".devcontainer.json:2:"]
    assert not [text for text in found if "OTHER" in text]
