"""No fact is looked up twice in a run: the provider is asked once, the engine here once for each image."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from kamal_dev.errors import DevError
from kamal_dev.model import Host
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.project import Project
from tests.transcripts.paper import Listed, RecordedRun
from tests.transcripts.test_transcripts import (
    BARE,
    CASES,
    CUT_OFF,
    FIRST,
    SECOND,
    UP,
    Case,
    prepared,
    project,
    root,
    with_hooks,
)

__all__ = ["project", "root", "with_hooks"]


class Counting(Listed):
    """Count what is asked of a provider; the hosts of `missing` are made."""

    def __init__(self, missing: tuple[str, ...] = ()) -> None:
        super().__init__((FIRST, SECOND))
        self._missing = missing
        self.calls: Counter[str] = Counter()

    def ensure(self, names: tuple[str, ...]) -> Mapping[str, Host | DevError]:
        """Make hosts, those alone that are not there."""
        self.calls["ensure"] += 1
        assert names == self._missing
        return super().ensure(names)

    def machines(self) -> tuple[Host, ...]:
        """Return none: each stack has its own host."""
        return ()

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return those that are there."""
        self.calls["stacks"] += 1
        return tuple(item for item in super().stacks() if item[0] not in self._missing)


def deployed(project: Project, case: Case, provider: Counting) -> RecordedRun:
    run = RecordedRun.of(project, prepared(project, case), {FIRST: case.first, SECOND: case.second})
    run = replace(run, listed=provider)
    report = deploy(run, case.order)
    run.close()
    assert report.failed == ()
    return run


@pytest.mark.usefixtures("with_hooks")
@pytest.mark.parametrize(
    ("case", "missing"),
    [
        (CASES["new_version"], ()),
        (Case(UP, UP, DeployOptions(names=(SECOND, FIRST))), ()),
        (Case(BARE, BARE, built=False, pushed=False), (FIRST, SECOND)),
        (Case(UP, BARE, built=False, pushed=False), (SECOND,)),
    ],
)
def test_a_deploy_with_all_hooks_asks_the_provider_once(project: Project, case: Case, missing: tuple[str, ...]) -> None:
    provider = Counting(missing)
    deployed(project, case, provider)
    assert provider.calls == Counter({"stacks": 1, "ensure": 1} if missing else {"stacks": 1})


@pytest.mark.parametrize("case", [CASES["new_version"], CASES["skip_push"], Case(CUT_OFF, CUT_OFF)])
def test_an_image_is_looked_up_once_whatever_many_hosts_need_it(project: Project, case: Case) -> None:
    steps = [step.text for step in deployed(project, case, Counting()).machine.steps]
    asked = Counter(text for text in steps if re.match("docker (image|manifest|buildx imagetools) inspect", text))
    assert asked
    assert set(asked.values()) == {1}
    # The engine is not asked for itself twice either.
    assert max(Counter(text for text in steps if re.match("docker (version|info)|git ", text)).values()) == 1
