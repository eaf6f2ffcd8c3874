"""Git on hosts that have none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kamal_dev.errors import HostError
from kamal_dev.model import Step
from tests.real.lab import PREFIX, docker
from tests.workspace.conftest import make
from tests.workspace.lab import Home, Lab


class Box(Home):
    """A bare container that stands for a host."""

    name = f"{PREFIX}-bare"

    def _run(self, step: Step, data: bytes) -> subprocess.CompletedProcess[bytes]:
        words = ("docker", "exec", "--interactive", self.name, *step.argv)
        return subprocess.run(words, check=False, input=data, capture_output=True, timeout=300)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    made = make(tmp_path, monkeypatch)
    made.home = Box(made.home.path)
    label = f"kamal-dev.test={PREFIX}"
    docker("run", "--detach", "--rm", "--privileged", "--name", Box.name, "--label", label, "debian:12", "sleep", "600")
    yield made
    docker("rm", "--force", Box.name)


def test_git_is_installed_where_it_is_missing(box: Lab) -> None:
    assert box.bring() == "new"
    shown = docker(
        "exec", Box.name, "sh", "-c", "cd ~/.kamal-dev/blog-1/workspace/blog && git log --format=%s && cat a.txt"
    )
    assert shown == "Change\none\n"


def test_a_host_that_cannot_have_git_says_what_to_do(box: Lab) -> None:
    docker("exec", Box.name, "mv", "/usr/bin/apt-get", "/usr/bin/apt-get.away")
    with pytest.raises(HostError, match="git is required, but could not be installed: there is no apt-get") as raised:
        box.bring()
    assert "workspace.source: sync" in raised.value.hint
    assert docker("exec", Box.name, "sh", "-c", "ls -A ~/.kamal-dev").split() == []
