"""Two clones of a repository make the same release and the same images, wherever they are: else the second of two
people, or of two runs of CI, would have everything built and recreated anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kamal_dev.errors import DevError
from kamal_dev.model import Build
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.rendering import render_release
from kamal_dev.pipeline.images.building import planned
from kamal_dev.pipeline.images.recipe import recipe
from kamal_dev.pipeline.run.names import choose
from kamal_dev.pipeline.run.run import Run
from tests.corpus.case import CORPUS, Case, cases, checkout

OWN = Path(__file__).parent / "cases"
Made = tuple[str, list[str]]
# Two have `${localWorkspaceFolder}` in a value, one builds from a folder above the repository.
BOUND_TO_A_PLACE = {"folder-of-a-git-repository", "variables", "tags-everywhere"}


def made(case: Case) -> Made | None:
    """Return what a release and the builds of a clone are known by; None where there is something wrong with it."""
    with checkout(case) as clone:
        try:
            run = Run.open(
                clone.root,
                Output(lambda event: None),
                devcontainer_path=clone.config,
                environment=dict(os.environ),
                version="v1",
                strict=False,
            )
            (stack,) = choose(run.project, 1, ())
            return render_release(run.project, stack).digest, [_words(run, build) for build in planned(run.project)]
        except DevError:
            return None


def _words(run: Run, build: Build) -> str:
    """Return the command that makes an image; the folder of the clone is no part of it."""
    return recipe(run.project, build).plain.text.replace(str(run.project.source.repository), ".")


def differing(found: list[Case]) -> dict[str, tuple[Made | None, Made | None]]:
    twice = {case.name: (made(case), made(case)) for case in found}
    assert sum(one is not None for one, _ in twice.values()) > 0.9 * len(found)
    return {name: (one, two) for name, (one, two) in twice.items() if one != two}


def test_our_own_cases_come_out_the_same_in_every_clone() -> None:
    assert set(differing(cases(OWN))) == BOUND_TO_A_PLACE


@pytest.mark.skipif(not CORPUS.is_dir(), reason="there is no corpus")
def test_the_corpus_comes_out_the_same_in_every_clone() -> None:
    assert differing(cases(CORPUS)) == {}
