"""What was done on a host comes back as a branch, and nothing here changes but that."""

from __future__ import annotations

import pytest

from kamal_dev.errors import DevError, HostError
from tests.workspace.lab import Lab, git, tree

BRANCH = "kamal-dev/blog-1"


def test_commits_and_changes_come_back_as_a_branch(lab: Lab) -> None:
    lab.write({"b.txt": "not committed here\n"})
    lab.bring()
    (lab.clone / "a.txt").write_text("committed there\n")
    git(lab.clone, "commit", "--quiet", "--message", "Mine", "--", "a.txt")
    (lab.clone / "new there.txt").write_text("not committed\n")
    (lab.clone / "run.sh").unlink()
    (lab.clone / "ignored.log").write_text("stays there\n")
    state = (tree(lab.clone), git(lab.clone, "status", "--porcelain"), (lab.clone / ".git/index").read_bytes())
    here = (tree(lab.root), git(lab.root, "status", "--porcelain", "--branch"), git(lab.root, "stash", "list"))

    (pulled,) = lab.pull()

    assert (pulled.branch, pulled.path) == (BRANCH, "")
    assert here == (tree(lab.root), git(lab.root, "status", "--porcelain", "--branch"), git(lab.root, "stash", "list"))
    assert state == (tree(lab.clone), git(lab.clone, "status", "--porcelain"), (lab.clone / ".git/index").read_bytes())
    git(lab.root, "worktree", "add", "--quiet", str(lab.root.parent / "seen"), BRANCH)
    expected = tree(lab.clone)
    expected.pop("ignored.log")
    assert tree(lab.root.parent / "seen") == expected
    assert git(lab.root, "log", "-1", "--format=%s", f"{BRANCH}~1") == "Mine"
    assert pulled.advice == (f"git diff {pulled.since[:12]} {BRANCH}", f"git merge {BRANCH}")


def test_nothing_done_there_is_nothing_to_pull(lab: Lab) -> None:
    lab.write({"b.txt": "not committed here\n"})
    lab.bring()
    assert lab.pull() == ()
    assert git(lab.root, "branch", "--list", "kamal-dev/*") == ""


def test_pulling_again_takes_the_same_branch_as_long_as_that_loses_nothing(lab: Lab) -> None:
    lab.bring()
    (lab.clone / "a.txt").write_text("1\n")
    assert [lab.pull()[0].branch, lab.pull()[0].branch] == [BRANCH, BRANCH]
    git(lab.clone, "commit", "--quiet", "--all", "--message", "One")
    assert lab.pull()[0].branch == f"{BRANCH}-2"
    (lab.clone / "a.txt").write_text("2\n")
    git(lab.clone, "commit", "--quiet", "--all", "--message", "Two")
    assert lab.pull()[0].branch == f"{BRANCH}-2"
    assert git(lab.root, "show", f"{BRANCH}:a.txt") == "1"


def test_a_clone_that_lost_what_was_sent_gets_the_whole_history(lab: Lab) -> None:
    lab.commit({"a.txt": "to be forgotten\n"})
    lab.bring()
    (lab.clone / "a.txt").write_text("mine\n")
    git(lab.root, "reset", "--quiet", "--hard", "HEAD~1")
    git(lab.root, "reflog", "expire", "--expire=all", "--all")
    git(lab.root, "gc", "--quiet", "--prune=now")
    (pulled,) = lab.pull()
    assert git(lab.root, "show", f"{pulled.branch}:a.txt") == "mine"


def test_a_workspace_that_was_sent_something_else_last_still_comes_back(lab: Lab) -> None:
    lab.bring()
    (lab.clone / "a.txt").write_text("mine\n")
    git(lab.clone, "commit", "--quiet", "--all", "--message", "Mine")
    # As after a deploy from a folder of another name, whose commit this clone does not have.
    (record,) = lab.clone.parents[1].glob("source/parts/*/head")
    record.write_text(f"{'1' * 40}\n")
    (pulled,) = lab.pull()
    assert git(lab.root, "show", f"{pulled.branch}:a.txt") == "mine"


def test_changes_that_were_thrown_away_as_objects_come_back(lab: Lab) -> None:
    lab.write({"b.txt": "not committed here\n"})
    lab.bring()
    git(lab.clone, "gc", "--quiet", "--prune=now")
    (lab.clone / "a.txt").write_text("mine\n")
    (pulled,) = lab.pull()
    assert git(lab.root, "show", f"{pulled.branch}:b.txt") == "not committed here"


def test_a_workspace_that_is_no_clone_says_so(lab: Lab) -> None:
    lab.clone.mkdir(parents=True)
    with pytest.raises(HostError, match="not a clone"):
        lab.pull()


def test_a_branch_that_another_worktree_has_checked_out_is_not_moved(lab: Lab) -> None:
    lab.bring()
    (lab.clone / "a.txt").write_text("1\n")
    git(lab.clone, "commit", "--quiet", "--all", "--message", "One")
    (pulled,) = lab.pull()
    other = lab.root.parent / "colleague"
    git(lab.root, "worktree", "add", "--quiet", str(other), BRANCH)
    (lab.clone / "a.txt").write_text("2\n")
    git(lab.clone, "commit", "--quiet", "--all", "--message", "Two")
    with pytest.raises(DevError, match=f"{BRANCH}.*{other}"):
        lab.pull()
    assert git(lab.root, "rev-parse", BRANCH) == pulled.commit
    assert git(other, "status", "--porcelain") == ""
    git(other, "checkout", "--quiet", "--detach")
    (moved,) = lab.pull()
    assert (moved.branch, git(lab.root, "show", f"{BRANCH}:a.txt")) == (BRANCH, "2")


def test_a_branch_that_another_worktree_rebases_is_not_moved(lab: Lab) -> None:
    lab.bring()
    (lab.clone / "a.txt").write_text("1\n")
    git(lab.clone, "commit", "--quiet", "--all", "--message", "One")
    (pulled,) = lab.pull()
    other = lab.root.parent / "colleague"
    git(lab.root, "worktree", "add", "--quiet", str(other), BRANCH)
    git(other, "rebase", "--exec", "false", "HEAD~1", check=False)
    (lab.clone / "a.txt").write_text("2\n")
    git(lab.clone, "commit", "--quiet", "--all", "--message", "Two")
    with pytest.raises(DevError, match=BRANCH):
        lab.pull()
    assert git(lab.root, "rev-parse", BRANCH) == pulled.commit
