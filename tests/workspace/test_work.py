"""Uncommitted work of one workspace is applied to a new one, as a whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kamal_dev.commands import events
from kamal_dev.errors import HostError
from kamal_dev.pipeline.hosts.work import changes, patch
from tests.workspace.lab import HOST, STACK, Lab, git, tree

TOKEN = "0123456789abcdef"


def carried(lab: Lab, renew: Callable[[], object], arriving: str = "") -> events.ScriptResult:
    """Copy the uncommitted work of the workspace to the one that is created after `renew`."""
    run = lab.run()
    try:
        with changes(run.project, run.connections, HOST, STACK) as path:
            shutil.rmtree(lab.home.workspace.parent)
            renew()
            lab.bring()
            if arriving:
                (lab.home.workspace.parent / "arriving").write_text(f"{arriving} blog-main\n")
            return patch(run.connections, HOST, STACK, lab.root.name, path, TOKEN)
    finally:
        run.close()


def work(clone: Path) -> None:
    """Change files as a person does: some staged, one binary, a link, a mode, and one that git ignores."""
    (clone / "a.txt").write_text("one\nand more\n")
    git(clone, "add", "a.txt")
    (clone / "b.txt").unlink()
    (clone / "new/deep").mkdir(parents=True)
    (clone / "new/deep/file name.bin").write_bytes(bytes(range(256)) * 9)
    (clone / "new/link").symlink_to("deep")
    (clone / "run.sh").chmod(0o755)
    (clone / "ignored.log").write_text("stays\n")


def test_work_is_applied_to_the_workspace_of_another_commit(lab: Lab) -> None:
    lab.bring()
    work(lab.clone)
    expected = tree(lab.clone)
    expected.pop("ignored.log")
    assert carried(lab, lambda: lab.commit({"c.txt": "of the branch\n"}), arriving=TOKEN)
    assert tree(lab.clone) == {**expected, "c.txt": (0, b"of the branch\n")}
    assert git(lab.clone, "diff", "--cached", "--name-only") == "", "nothing is staged"
    # Like all work of people, it stays there when a newer source is deployed.
    (lab.home.workspace.parent / "arriving").unlink()
    lab.commit({"c.txt": "newer\n"})
    assert lab.bring() == "skipped"


def test_changes_that_were_sent_with_the_source_are_work_too(lab: Lab) -> None:
    lab.write({"a.txt": "not committed here\n"})
    lab.bring()
    assert carried(lab, lambda: git(lab.root, "checkout", "--quiet", "--", "a.txt"))
    assert (lab.clone / "a.txt").read_text() == "not committed here\n"


def test_commits_are_not_work_that_is_copied(lab: Lab) -> None:
    lab.bring()
    git(lab.clone, "commit", "--quiet", "--allow-empty", "--message", "Mine")
    run = lab.run()
    with changes(run.project, run.connections, HOST, STACK) as path:
        assert path.read_bytes() == b""
    run.close()


def test_work_that_does_not_apply_changes_nothing(lab: Lab) -> None:
    lab.bring()
    work(lab.clone)
    ended = carried(lab, lambda: lab.commit({"a.txt": "something\nelse\n"}))
    assert not ended
    assert "a.txt" in ended.reason
    assert tree(lab.clone) == tree(lab.root)


def test_a_workspace_that_waits_for_another_copy_is_not_changed(lab: Lab) -> None:
    lab.bring()
    work(lab.clone)
    ended = carried(lab, lambda: None, arriving="f" * 16)
    assert not ended
    assert "the copy of blog-main is not complete" in ended.reason
    assert tree(lab.clone) == tree(lab.root)


def test_a_workspace_that_is_no_clone_is_refused(lab: Lab) -> None:
    lab.bring()
    shutil.rmtree(lab.clone / ".git")
    run = lab.run()
    with pytest.raises(HostError, match="no longer a clone"), changes(run.project, run.connections, HOST, STACK):
        pass
    run.close()
