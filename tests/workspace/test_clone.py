"""What arrives on a host is a clone, and is what is here."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kamal_dev.errors import HostError
from kamal_dev.model import Step
from tests.workspace.lab import Home, Lab, git, tree, write


def submodules(root: Path) -> list[str]:
    """List the submodules with their commits; by what name git describes a commit is another matter."""
    return [line.rpartition(" (")[0] or line for line in git(root, "submodule", "status", "--recursive").splitlines()]


def test_the_first_time_makes_a_clone_with_history_branch_and_changes(lab: Lab) -> None:
    lab.commit({"a.txt": "newer\n"}, "Second")
    git(lab.root, "mv", "b.txt", "moved name.txt")
    (lab.root / "run.sh").chmod(0o755)
    lab.write(
        {
            "a.txt": "not committed\n",
            "new\nline ü.txt": "untracked\n",
            "ignored.log": "stays here\n",
            "crlf.txt": b"a\r\nb",
        }
    )
    (lab.root / "link").symlink_to("a.txt")
    # A link out of the repository travels as a link, and nothing of what it leads to.
    (lab.root / "outside file").symlink_to("/etc/passwd")
    (lab.root / "outside folder").symlink_to("/etc")
    (lab.root / "gone.txt").write_text("x")
    git(lab.root, "add", "gone.txt")
    (lab.root / "gone.txt").unlink()

    assert lab.bring() == "new"

    here = tree(lab.root)
    here.pop("ignored.log")
    assert tree(lab.clone) == here
    for words in (
        ("status", "--porcelain", "-z", "--untracked-files=all"),
        ("log", "--oneline"),
        ("symbolic-ref", "HEAD"),
    ):
        assert git(lab.clone, *words) == git(lab.root, *words)
    git(lab.clone, "fsck", "--strict")
    assert lab.home.steps == ["workspace blog-1 blog"]


def test_origin_and_identity_come_without_credentials(lab: Lab) -> None:
    git(lab.root, "remote", "add", "origin", "https://ann:ghp_secret@example.org/blog.git")
    git(lab.root, "config", "user.name", 'Ann "A" Lee')
    git(lab.root, "config", "user.email", "ann@example.org")
    git(lab.root, "config", "http.extraHeader", "Authorization: Basic c2VjcmV0")
    git(lab.root, "update-ref", "refs/remotes/origin/main", "HEAD")
    git(lab.root, "branch", "--quiet", "--set-upstream-to", "origin/main")
    lab.commit({"a.txt": "ahead\n"})
    lab.bring()
    assert git(lab.clone, "remote", "get-url", "origin") == "https://example.org/blog.git"
    assert git(lab.clone, "status", "--short", "--branch") == "## main...origin/main [ahead 1]"
    written = (lab.clone / ".git/config").read_text()
    assert "secret" not in written and "c2VjcmV0" not in written
    assert subprocess.run(
        ["git", "-C", str(lab.clone), "commit", "--quiet", "--allow-empty", "--message", "There"], check=True
    )
    assert git(lab.clone, "log", "-1", "--format=%an <%ae>") == 'Ann "A" Lee <ann@example.org>'


def test_tags_come_with_the_history(lab: Lab) -> None:
    git(lab.root, "tag", "light")
    git(lab.root, "tag", "--annotate", "--message", "One", "v1")
    lab.bring()
    assert git(lab.clone, "describe") == "v1"
    lab.commit({"a.txt": "2\n"})
    git(lab.root, "tag", "--annotate", "--message", "Two", "v2")
    assert lab.bring() == "moved"
    assert (git(lab.clone, "tag"), git(lab.clone, "describe")) == ("light\nv1\nv2", "v2")


def test_a_repository_without_a_commit_is_one_there_too(lab: Lab) -> None:
    shutil.rmtree(lab.root / ".git")
    git(lab.root, "init", "--quiet", "--initial-branch", "first")
    git(lab.root, "add", "a.txt")
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert git(lab.clone, "status", "--porcelain") == git(lab.root, "status", "--porcelain")
    lab.commit()
    assert lab.bring() == "moved"
    assert git(lab.clone, "log", "--oneline") == git(lab.root, "log", "--oneline")


def test_a_shallow_clone_is_one_there_too(lab: Lab, tmp_path: Path) -> None:
    for number in range(5):
        lab.commit({"a.txt": f"{number}\n"})
    full = lab.root.rename(tmp_path / "full")
    git(tmp_path, "clone", "--quiet", "--depth", "2", full.as_uri(), str(lab.root))
    assert lab.bring() == "new"
    assert git(lab.clone, "log", "--oneline") == git(lab.root, "log", "--oneline")
    assert git(lab.clone, "rev-parse", "--is-shallow-repository") == "true"
    lab.commit({"b.txt": "newer\n"})
    assert lab.bring() == "moved"
    git(lab.root, "fetch", "--quiet", "--unshallow")
    lab.commit({"b.txt": "newest\n"})
    assert lab.bring() == "moved"
    assert len(git(lab.clone, "log", "--oneline").splitlines()) == 8
    git(lab.clone, "fsck")


def test_submodules_come_with_their_history_and_changes(lab: Lab, tmp_path: Path) -> None:
    inner, middle = tmp_path / "inner", tmp_path / "middle"
    for root in (inner, middle):
        root.mkdir()
        git(root, "init", "--quiet", "--initial-branch", "main")
        write(root, {"lib.txt": "1\n"})
        if root is middle:
            git(root, "submodule", "--quiet", "add", str(inner), "deep/inner")
        git(root, "add", "--all")
        git(root, "commit", "--quiet", "--message", "One")
    git(lab.root, "submodule", "--quiet", "add", "--name", "called", str(middle), "vendor/middle one")
    git(lab.root, "submodule", "--quiet", "update", "--init", "--recursive")
    lab.commit()
    write(lab.root, {"vendor/middle one/lib.txt": "changed\n", "vendor/middle one/deep/inner/new.txt": "new\n"})

    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert git(lab.clone, "status", "--porcelain") == git(lab.root, "status", "--porcelain")
    assert submodules(lab.clone) == submodules(lab.root)

    git(lab.root / "vendor/middle one", "commit", "--quiet", "--all", "--message", "Two")
    lab.commit()
    assert lab.bring() == "moved"
    assert submodules(lab.clone) == submodules(lab.root)
    assert tree(lab.clone) == tree(lab.root)
    write(lab.clone, {"vendor/middle one/deep/inner/new.txt": "mine\n"})
    lab.commit({"a.txt": "newer\n"})
    assert lab.bring() == "skipped"
    assert (lab.clone / "vendor/middle one/deep/inner/new.txt").read_text() == "mine\n"


def test_a_submodule_that_is_added_later_comes_with_a_later_deploy(lab: Lab, tmp_path: Path) -> None:
    lab.bring()
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "--quiet")
    write(inner, {"lib.txt": "1\n"})
    git(inner, "add", "--all")
    git(inner, "commit", "--quiet", "--message", "One")
    git(lab.root, "submodule", "--quiet", "add", str(inner), "inner")
    lab.commit()
    assert lab.bring() == "moved"
    assert tree(lab.clone) == tree(lab.root)
    assert submodules(lab.clone) == submodules(lab.root)


def test_files_are_there_byte_for_byte_whatever_filters_do_here(lab: Lab) -> None:
    lab.commit({"pointer.bin": "version https://git-lfs.github.com/spec/v1\n"})
    git(lab.root, "config", "filter.lfs.clean", "sed s/content/pointer/")
    git(lab.root, "config", "filter.lfs.smudge", "sed s/pointer/content/")
    git(lab.root, "config", "core.autocrlf", "true")
    lab.commit({".gitattributes": "*.lfs filter=lfs\n*.txt text\n", "large.lfs": "content\n", "dos.txt": b"a\r\nb\r\n"})
    assert git(lab.root, "show", "HEAD:large.lfs") == "pointer"
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert git(lab.clone, "show", "HEAD:large.lfs") == "pointer"
    lab.commit({"a.txt": "newer\r\n"})
    assert lab.bring() == "moved"


def test_ignored_files_that_are_tracked_travel_and_others_never(lab: Lab) -> None:
    lab.write({"ignored.kept": "tracked\n", "ignored.log": "not\n", "ignored/x": "not\n"})
    git(lab.root, "add", "--force", "ignored.kept")
    lab.commit()
    lab.bring()
    assert (lab.clone / "ignored.kept").read_text() == "tracked\n"
    assert not (lab.clone / "ignored.log").exists() and not (lab.clone / "ignored").exists()
    git(lab.root, "rm", "--quiet", "--cached", "ignored.kept")
    lab.commit()
    assert lab.bring() == "moved"
    assert not (lab.clone / "ignored.kept").exists()


@pytest.mark.parametrize("is_committed", [False, True])
def test_secrets_stay_here(lab: Lab, is_committed: bool) -> None:
    git(lab.root, "rm", "--quiet", "--cached", ".gitignore")
    (lab.root / ".gitignore").unlink()
    lab.write({".kamal/secrets": "TOKEN=xyzzy\n", ".kamal/local/key": "xyzzy\n", ".kamal/other": "travels\n"})
    if is_committed:
        lab.commit()
    assert lab.bring() == "new"
    assert sorted(path.name for path in (lab.clone / ".kamal").iterdir()) == ["other"]
    assert any("is committed to git" in line for line in lab.said) == is_committed
    assert git(lab.clone, "status", "--porcelain", "--untracked-files=all") == git(
        lab.root, "status", "--porcelain", "--untracked-files=all", "--", ".", ":!.kamal/secrets", ":!.kamal/local"
    )
    lab.write({"a.txt": "newer\n"})
    assert lab.bring() == "moved"


def test_a_linked_worktree_is_a_clone_there(lab: Lab, tmp_path: Path) -> None:
    main = lab.root.rename(tmp_path / "main")
    git(main, "worktree", "add", "--quiet", "-b", "topic", str(lab.root))
    lab.write({"a.txt": "changed\n"})
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert git(lab.clone, "symbolic-ref", "HEAD") == "refs/heads/topic"


def test_what_comes_only_in_part_changes_nothing(lab: Lab) -> None:
    class Torn(Home):
        def _run(self, step: Step, data: bytes) -> subprocess.CompletedProcess[bytes]:
            return super()._run(step, data[: len(data) // 2] if step.text.startswith("workspace") else data)

    whole, torn = lab.home, Torn(lab.home.path)
    lab.home = torn
    with pytest.raises(HostError, match="did not arrive"):
        lab.bring()
    assert not lab.clone.exists()
    lab.home = whole
    lab.bring()
    before = tree(lab.clone)
    lab.commit({"a.txt": "newer\n", "large": os.urandom(100_000)})
    lab.home = torn
    with pytest.raises(HostError, match="did not arrive"):
        lab.bring()
    assert tree(lab.clone) == before
    lab.home = whole
    assert lab.bring() == "moved"


def test_programs_that_the_clone_names_do_not_run_on_the_host(lab: Lab, tmp_path: Path) -> None:
    lab.commit({".gitattributes": "* filter=evil\n"})
    lab.bring()
    trap = tmp_path / "trapped"
    for key in ("filter.evil.clean", "filter.evil.smudge", "core.fsmonitor", "diff.external", "core.sshCommand"):
        git(lab.clone, "config", key, f"touch '{trap}'; cat")
    for hook in ("post-index-change", "reference-transaction", "post-checkout", "pre-auto-gc"):
        write(lab.clone, {f".git/hooks/{hook}": f"#!/bin/sh\ntouch '{trap}'\n"})
        (lab.clone / ".git/hooks" / hook).chmod(0o755)
    trap.unlink(missing_ok=True)
    lab.commit({"a.txt": "newer\n"})
    assert lab.bring() == "moved"
    (lab.clone / "a.txt").write_text("mine\n")
    assert lab.bring(force=True) == "moved"
    (lab.clone / "a.txt").write_text("mine\n")
    assert lab.pull()
    assert not trap.exists()
