"""A snapshot that stages only what differs is the one that reads every file."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path, PurePath

import pytest

from kamal_dev.project import snapshot, store
from kamal_dev.project.snapshot import Snapshot
from kamal_dev.project.source import read
from kamal_dev.project.withheld import Withheld
from kamal_dev.shell.local import Local
from tests.workspace.lab import git, write

WITHHELD = Withheld((PurePath("private"),))
NAMES = ("a.txt", "b/c.txt", "b/d.txt", "e", "e/f.txt", "x.log", ".kamal/secrets", "private/key", "ü\n.txt", "run.sh")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, "/dev/null")
    root = tmp_path / "blog"
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch", "main")
    write(root, {"a.txt": "one\n", "b/c.txt": "two\n", "private/key": "k\n", ".gitignore": "*.log\n"})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "One")
    return root


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note every time that all files are staged."""
    seen, stage = [], store.stage

    def noted(*given: object) -> object:
        seen.append("whole")
        return stage(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "stage", noted)
    return seen


def take(root: Path, stores: Path) -> Snapshot:
    source = read(root, Local(), os.environ)
    taken = snapshot.read(source, Local(), stores=stores, withheld=WITHHELD, say=lambda text: None)
    assert taken.state == source.state
    return taken


def same(root: Path, tmp_path: Path) -> bool:
    """Whether a store that is kept and a new one hold the same trees, and all objects of them."""
    shutil.rmtree(tmp_path / "new", ignore_errors=True)
    kept, new = (take(root, tmp_path / name).parts[0] for name in ("kept", "new"))
    git(root, "--git-dir", str(kept.aside.git_dir), "ls-tree", "-r", "--long", kept.tree)
    return kept.record == new.record and kept.differing == new.differing


def repository_in(root: Path) -> None:
    write(root, {"inner/x.txt": "x\n"})
    git(root / "inner", "init", "--quiet")
    git(root / "inner", "add", "--all")
    git(root / "inner", "commit", "--quiet", "--message", "One")


def changed(root: Path, one: random.Random) -> None:
    """Change one thing, as people do."""
    path = root / one.choice(NAMES)
    action = one.randrange(10)
    if action < 5:
        for above in (path.parent, path):
            if above.is_file() and above != path:
                above.unlink()
        if path.is_dir():
            shutil.rmtree(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{one.random()}\n")
    elif action == 5 and path.is_file():
        path.unlink()
    elif action == 6 and path.is_file():
        path.chmod(0o755)
    elif action == 7:
        git(root, "add", "--all", *(["--force"] if one.random() < 0.5 else []))
    elif action == 8:
        git(root, "commit", "--quiet", "--all", "--allow-empty", "--message", "More")
    elif action == 9:
        one.choice(
            (
                lambda: git(root, "rm", "--quiet", "-r", "--cached", "--ignore-unmatch", "a.txt", "x.log"),
                lambda: write(root, {".gitignore": one.choice(("*.log\n", "b/\n", "e\n"))}),
                lambda: git(root, "checkout", "--quiet", "--", "."),
                lambda: git(root, "reset", "--quiet", "--hard", "HEAD~0"),
                lambda: git(root, "mv", "-k", "a.txt", "moved.txt"),
            )
        )()


@pytest.mark.parametrize("seed", range(6))
def test_a_kept_store_and_a_new_one_hold_the_same(root: Path, tmp_path: Path, whole: list[str], seed: int) -> None:
    one, steps = random.Random(seed), 12
    for _ in range(steps):
        for _ in range(one.randrange(1, 4)):
            changed(root, one)
        assert same(root, tmp_path)
    assert len(whole) == steps + 1  # once for the store that was kept


def test_files_that_git_converts_are_all_read(root: Path, tmp_path: Path, whole: list[str]) -> None:
    assert same(root, tmp_path)
    write(root, {".gitattributes": "*.txt text eol=lf\n", "a.txt": "one\r\n"})
    assert same(root, tmp_path)
    write(root, {"a.txt": "one\r\ntwo\r\n"})
    assert same(root, tmp_path)
    assert len(whole) == 2 * 3


@pytest.mark.parametrize(
    "happens",
    (
        pytest.param(lambda root: git(root, "update-index", "--assume-unchanged", "a.txt"), id="hidden from git"),
        pytest.param(lambda root: git(root, "config", "core.autocrlf", "true"), id="line endings"),
        pytest.param(lambda root: git(root, "config", "core.filemode", "false"), id="file modes"),
        pytest.param(repository_in, id="repository inside"),
    ),
)
def test_what_git_and_the_store_see_differently_is_all_read(
    root: Path, tmp_path: Path, whole: list[str], happens: Callable[[Path], None]
) -> None:
    take(root, tmp_path / "kept")
    happens(root)
    write(root, {"a.txt": "other\n"})
    assert same(root, tmp_path)
    assert len(whole) >= 3


def test_a_commit_that_is_gone_costs_a_whole_look(root: Path, tmp_path: Path, whole: list[str]) -> None:
    write(root, {"a.txt": "two\n"})
    git(root, "commit", "--quiet", "--all", "--message", "Two")
    take(root, tmp_path / "kept")
    git(root, "commit", "--quiet", "--amend", "--allow-empty", "--message", "Other")
    git(root, "reflog", "expire", "--expire=now", "--all")
    git(root, "gc", "--quiet", "--prune=now")
    assert same(root, tmp_path)
    assert len(whole) == 3


def test_a_damaged_record_costs_a_whole_look(root: Path, tmp_path: Path, whole: list[str]) -> None:
    take(root, tmp_path / "kept")
    (tmp_path / "kept/top/snapshot").write_text('{"rules": 1')
    assert same(root, tmp_path)
    assert len(whole) == 3


def test_an_interrupted_snapshot_leaves_no_record(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(root, tmp_path / "kept")
    write(root, {"a.txt": "two\n"})

    def killed(*given: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(snapshot, "_indexed", killed)
        take(root, tmp_path / "kept")
    assert not (tmp_path / "kept/top/snapshot").exists()
    git(root, "checkout", "--quiet", ".")
    assert same(root, tmp_path)
