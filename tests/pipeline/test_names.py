"""The place of a stack among all, by its name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kamal_dev.pipeline.run import names
from kamal_dev.project import Project
from tests.transcripts.test_transcripts import project, root

__all__ = ["project", "root"]

PLACES = [
    ("{service}-{index}", "guestbook-1", 1),
    ("{service}-{index}", "guestbook-1000", 1000),
    ("{service}{index:03}", "guestbook007", 7),
    ("{index}-{service}", "42-guestbook", 42),
    ("box2{index}", "box23", 3),
    # Names of an earlier pattern: the stack is still there, and deployed by its name.
    ("{service}-{index}", "dev12-guestbook", 12),
    ("{service}-{index}", "guestbook", 1),
    ("{service}-{index}", "guestbook-20261128", 1000),
]


@pytest.mark.parametrize(("pattern", "stack", "place"), PLACES)
def test_a_stack_has_its_place_whatever_pattern_named_it(
    project: Project, pattern: str, stack: str, place: int
) -> None:
    renamed = replace(project, config=replace(project.config, naming=pattern))
    assert names.index(renamed, stack) == place
