from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kamal_dev.project.source import Source, includes, read
from kamal_dev.shell.local import Local

QUIET = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True, env=os.environ | QUIET
    )
    return done.stdout.strip()


def version(folder: Path) -> Source:
    return read(folder, Local())


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / ".gitignore").write_text("ignored\n")
    (tmp_path / "a.txt").write_text("one\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_a_clean_tree_is_its_commit(repository: Path) -> None:
    head = git(repository, "rev-parse", "HEAD")
    source = version(repository)
    assert (source.version.text, source.version.is_dirty, source.repository) == (head, False, repository)


def test_a_dirty_tree_has_the_same_suffix_until_it_changes(repository: Path) -> None:
    (repository / "a.txt").write_text("two\n")
    first, again = version(repository), version(repository)
    (repository / "a.txt").write_text("three\n")
    third = version(repository)
    assert first.version == again.version
    assert first.version.text.startswith(git(repository, "rev-parse", "HEAD") + "-dirty-")
    assert third.version != first.version
    assert first.changed == ("a.txt",)


def test_the_suffix_is_the_content_wherever_the_tree_stands(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    clone = tmp_path_factory.mktemp("clone") / "other"
    git(repository, "clone", "-q", str(repository), str(clone))
    for folder in (repository, clone):
        (folder / "new.txt").write_text("untracked counts\n")
    assert version(repository).version == version(clone).version


def test_what_git_ignores_does_not_count(repository: Path) -> None:
    (repository / "ignored").write_text("x")
    assert not version(repository).version.is_dirty


def test_a_new_file_is_part_of_the_source_unless_it_is_ignored_or_elsewhere(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    paths = [repository / "backup", repository / "ignored", tmp_path_factory.mktemp("other") / "backup"]
    for path in paths:
        path.write_text("x")
    source = version(repository)
    assert [includes(source, Local(), path) for path in paths] == [True, False, False]


def test_looking_leaves_the_repository_as_it_was(repository: Path) -> None:
    (repository / "b.txt").write_text("new\n")
    before = sorted(path.relative_to(repository) for path in repository.rglob("*"))
    version(repository)
    assert sorted(path.relative_to(repository) for path in repository.rglob("*")) == before
    assert git(repository, "diff", "--cached", "--name-only") == ""


def test_before_the_first_commit_the_content_is_the_version(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("x")
    assert version(tmp_path).version.text.startswith("uncommitted-")
    assert version(tmp_path) == version(tmp_path)


def test_outside_git_it_is_the_time_of_the_newest_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    os.utime(tmp_path / "a", (1_700_000_000, 1_700_000_000))
    (tmp_path / ".kamal").mkdir()
    (tmp_path / ".kamal" / "cache").write_text("ours does not count")
    assert version(tmp_path).version.text.startswith("20231114221320-")


def test_a_folder_below_the_top_has_the_version_of_the_whole(repository: Path) -> None:
    (repository / "sub").mkdir()
    source = version(repository / "sub")
    assert source.repository == repository
    assert source.version.text == git(repository, "rev-parse", "HEAD")
