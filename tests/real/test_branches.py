"""A stack for each of many branches: created in one command on three hosts, isolated, deployed again, removed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.real.branches import Branches, cached
from tests.real.lab import Host, Lab


@pytest.mark.parametrize("count", [10, pytest.param(30, marks=pytest.mark.slow)])
def test_the_branches_of_a_repository_are_stacks_on_three_hosts(
    lab: Lab, hosts: tuple[Host, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    branches = Branches.of(lab, hosts, count, f"branches-{count}")
    repository, stacks = branches.repository, branches.stacks
    before = branches.traces()
    created = branches.create(range(1, count + 1))
    assert {stack["state"] for stack in created.stacks.values()} == {"deployed"}, str(created)
    assert list(created.stacks) == stacks
    # Other tests have stacks there, too.
    assert max(Counter(host.name for host, _ in branches.apps().values()).values()) < count
    assert branches.messages() == [f"first of {ref}" for ref in branches.refs]
    branches.sign()
    assert branches.entries() == {stack: [stack] for stack in stacks}

    branches.commit("second")
    again = repository.deploy("feature-*", "--verbose")
    assert {stack["state"] for stack in again.stacks.values()} == {"deployed"}, str(again)
    assert branches.messages() == [f"second of {ref}" for ref in branches.refs]
    assert branches.entries() == {stack: [stack] for stack in stacks}

    repository.dev("remove", "feature-*", "--yes")
    assert branches.traces() == before
    assert cached(tmp_path / "cache") == []
