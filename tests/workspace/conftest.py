"""A repository and a host for each test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workspace.lab import CONFIG, Home, Lab, git


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return make(tmp_path, monkeypatch)


def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """Make a repository with one commit, and an empty home."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    root, home = tmp_path / "blog", tmp_path / "home"
    root.mkdir()
    home.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    made = Lab(root, Home(home))
    made.commit(
        {
            "config/dev.yml": CONFIG,
            ".devcontainer/devcontainer.json": '{"image": "debian:12"}\n',
            ".gitignore": "ignored*\n.kamal/\n",
            "a.txt": "one\n",
            "b.txt": "two\n",
            "run.sh": "#!/bin/sh\n",
        }
    )
    return made
