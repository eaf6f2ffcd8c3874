"""What later deploys do: move forward what nobody has changed, and leave the rest."""

from __future__ import annotations

import os

import pytest

from tests.workspace.lab import Lab, git, tree


def status(lab: Lab) -> str:
    return git(lab.clone, "status", "--porcelain", "--untracked-files=all")


def test_the_same_source_is_sent_once(lab: Lab) -> None:
    lab.write({"new.txt": "untracked\n"})
    assert lab.bring() == "new"
    assert (lab.bring(), lab.home.steps) == ("same", [])


def test_an_untouched_clone_moves_forward_with_only_what_is_missing(lab: Lab) -> None:
    large = os.urandom(300_000)
    lab.write({"large, not committed.bin": large})
    lab.bring()
    first = lab.home.sent
    (lab.root / "b.txt").unlink()
    lab.commit({"a.txt": "newer\n"})
    lab.write({"a.txt": "and not committed\n", "new.txt": "n\n"})
    assert lab.bring() == "moved"
    assert lab.home.steps == ["workspace blog-1 blog"]
    assert first > 300_000 > 200_000 > lab.home.sent
    assert tree(lab.clone) == tree(lab.root)
    assert git(lab.clone, "log", "--oneline") == git(lab.root, "log", "--oneline")
    assert status(lab) == git(lab.root, "status", "--porcelain", "--untracked-files=all")


def test_what_git_ignores_there_survives_a_move(lab: Lab) -> None:
    lab.bring()
    (lab.clone / "ignored.log").write_text("mine\n")
    lab.commit({"a.txt": "newer\n"})
    assert lab.bring() == "moved"
    assert (lab.clone / "ignored.log").read_text() == "mine\n"


@pytest.mark.parametrize("kind", ["edited", "staged", "new", "gone", "commit", "branch", "mode"])
def test_work_done_there_survives_a_deploy(lab: Lab, kind: str) -> None:
    lab.bring()
    if kind in ("edited", "staged", "commit"):
        (lab.clone / "a.txt").write_text("my work\n")
    if kind == "staged":
        git(lab.clone, "add", "a.txt")
    if kind == "commit":
        git(lab.clone, "commit", "--quiet", "--all", "--message", "Mine")
    if kind == "new":
        (lab.clone / "mine.txt").write_text("my work\n")
    if kind == "gone":
        (lab.clone / "a.txt").unlink()
    if kind == "branch":
        git(lab.clone, "switch", "--quiet", "--create", "mine")
    if kind == "mode":
        (lab.clone / "a.txt").chmod(0o755)
    before, head = tree(lab.clone), git(lab.clone, "rev-parse", "HEAD")
    commit = lab.commit({"b.txt": "newer\n"})

    assert lab.bring() == "skipped"

    assert (tree(lab.clone), git(lab.clone, "rev-parse", "HEAD")) == (before, head)
    assert git(lab.clone, "rev-parse", "kamal-dev/main") == commit
    assert any("not updated" in line for line in lab.said)
    assert (lab.bring(), lab.home.steps) == ("skipped", [])
    assert lab.bring(ask=True) == "skipped"


def test_commits_and_changes_that_were_made_there_are_both_named(lab: Lab) -> None:
    lab.bring()
    lab.commit({"a.txt": "newer\n"})
    lab.write({"b.txt": "sent, not committed\n"})
    assert lab.bring() == "moved"
    (lab.clone / "a.txt").write_text("my work\n")
    git(lab.clone, "commit", "--quiet", "--message", "Mine", "a.txt")
    assert lab.bring(ask=True) == "skipped"
    assert any("the workspace has commits of its own; not updated" in line for line in lab.said), lab.said
    (lab.clone / "mine.txt").write_text("my work\n")
    both = "the workspace has commits of its own, and changes that are not committed; not updated"
    assert lab.bring(ask=True) == "skipped"
    assert any(both in line for line in lab.said), lab.said
    git(lab.clone, "switch", "--quiet", "--create", "mine")
    assert lab.bring(ask=True) == "skipped"
    assert any("is on another branch, and changes that are not committed" in line for line in lab.said), lab.said


def test_a_clone_that_is_clean_again_moves_forward(lab: Lab) -> None:
    lab.bring()
    (lab.clone / "a.txt").write_text("my work\n")
    lab.commit({"b.txt": "newer\n"})
    assert lab.bring() == "skipped"
    git(lab.clone, "checkout", "a.txt")
    assert lab.bring(ask=True) == "moved"
    assert tree(lab.clone) == tree(lab.root)


def test_an_ignored_file_is_not_overwritten_by_one_that_is_tracked_now(lab: Lab) -> None:
    lab.bring()
    (lab.clone / "ignored.env").write_text("mine\n")
    lab.write({".gitignore": ".kamal/\n", "ignored.env": "theirs\n"})
    lab.commit()
    assert lab.bring() == "skipped"
    assert (lab.clone / "ignored.env").read_text() == "mine\n"
    assert lab.bring(force=True) == "moved"
    assert (lab.clone / "ignored.env").read_text() == "theirs\n"


def test_force_discards_and_keeps_a_branch_with_everything(lab: Lab) -> None:
    lab.bring()
    (lab.clone / "a.txt").write_text("committed there\n")
    git(lab.clone, "commit", "--quiet", "--all", "--message", "Mine")
    (lab.clone / "mine.txt").write_text("not committed\n")
    (lab.clone / "b.txt").write_text("staged\n")
    git(lab.clone, "add", "b.txt")
    (lab.clone / "b.txt").write_text("not staged\n")

    assert lab.bring(force=True) == "moved"

    assert tree(lab.clone) == tree(lab.root)
    assert (status(lab), git(lab.clone, "rev-parse", "HEAD")) == ("", git(lab.root, "rev-parse", "HEAD"))
    backup = git(lab.clone, "for-each-ref", "--format=%(refname:short)", "refs/heads/kamal-dev")
    assert backup.startswith("kamal-dev/backup-")
    assert any(backup in line for line in lab.said)
    assert git(lab.clone, "show", f"{backup}:mine.txt") == "not committed"
    assert git(lab.clone, "show", f"{backup}:b.txt") == "not staged"
    assert git(lab.clone, "show", f"{backup}^2:b.txt") == "staged"
    assert git(lab.clone, "log", "-1", "--format=%s", f"{backup}^1") == "Mine"


def test_a_branch_switched_to_here_is_switched_to_there(lab: Lab) -> None:
    lab.bring()
    git(lab.root, "switch", "--quiet", "--create", "topic/x")
    lab.commit({"a.txt": "topic\n"})
    assert lab.bring() == "moved"
    assert git(lab.clone, "symbolic-ref", "HEAD") == "refs/heads/topic/x"
    git(lab.root, "checkout", "--quiet", "--detach", "HEAD~1")
    assert lab.bring() == "moved"
    assert git(lab.clone, "rev-parse", "--abbrev-ref", "HEAD") == "HEAD"
    assert tree(lab.clone) == tree(lab.root)


def test_a_branch_there_with_commits_of_its_own_is_not_reset(lab: Lab) -> None:
    lab.bring()
    git(lab.clone, "switch", "--quiet", "--create", "topic")
    (lab.clone / "a.txt").write_text("mine\n")
    git(lab.clone, "commit", "--quiet", "--all", "--message", "Mine")
    git(lab.clone, "switch", "--quiet", "main")
    git(lab.root, "switch", "--quiet", "--create", "topic")
    lab.commit({"b.txt": "other\n"})
    assert lab.bring() == "skipped"
    assert git(lab.clone, "log", "-1", "--format=%s", "topic") == "Mine"


def test_a_rewritten_history_moves_an_untouched_clone(lab: Lab) -> None:
    lab.commit({"a.txt": "first try\n"})
    lab.bring()
    git(lab.root, "reset", "--quiet", "--hard", "HEAD~1")
    lab.commit({"a.txt": "second try\n"})
    assert lab.bring() == "moved"
    assert tree(lab.clone) == tree(lab.root)
    assert git(lab.clone, "log", "--oneline") == git(lab.root, "log", "--oneline")


def test_objects_that_were_thrown_away_there_are_sent_again(lab: Lab) -> None:
    lab.write({"a.txt": "not committed\n"})
    lab.bring()
    for index in (lab.home.path / ".kamal-dev/blog-1/source/parts").rglob("look"):
        assert index.stat().st_size
    git(lab.clone, "reflog", "expire", "--expire=all", "--all")
    git(lab.clone, "gc", "--quiet", "--prune=now")
    lab.write({"b.txt": "not committed\n"})
    assert lab.bring() == "moved"
    assert tree(lab.clone) == tree(lab.root)


def test_only_what_is_staged_may_differ(lab: Lab) -> None:
    lab.write({"a.txt": "changed\n"})
    lab.bring()
    git(lab.root, "add", "a.txt")
    assert lab.bring() == "moved"
    assert status(lab) == "M  a.txt"


def test_files_that_were_there_before_are_left_and_put_aside_by_force(lab: Lab) -> None:
    lab.clone.mkdir(parents=True)
    (lab.clone / "mine.txt").write_text("mine\n")
    assert lab.bring() == "skipped"
    assert list(lab.clone.iterdir()) == [lab.clone / "mine.txt"]
    assert lab.bring(force=True) == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert [path.read_text() for path in lab.home.path.rglob("backups/*/mine.txt")] == ["mine\n"]
