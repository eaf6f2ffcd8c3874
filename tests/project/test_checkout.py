"""A reference is checked out with its own version and source, and the repository that it comes from is not touched."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kamal_dev.errors import GitFailed, UsageError
from kamal_dev.project import source
from kamal_dev.project.checkout import Checkouts
from kamal_dev.project.revision import Revision, supply_of
from kamal_dev.shell.local import Local
from tests.workspace.lab import git, write

pytestmark = pytest.mark.usefixtures("own_settings")

Root = Callable[..., Path]


def begun(folder: Path, *options: str, text: str = "one\n") -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch", "main", *options)
    return committed(folder, text)


def committed(folder: Path, text: str) -> Path:
    write(folder, {"a.txt": text, ".gitignore": "*.log\n"})
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", text)
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a branch, a tag and a remote that has a branch and a pull request of its own."""
    there = begun(tmp_path / "there")
    bare = tmp_path / "blog.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(there), str(bare))
    root = tmp_path / "blog"
    git(tmp_path, "clone", "--quiet", str(bare), str(root))
    git(root, "switch", "--quiet", "--create", "feature/x")
    committed(root, "two\n")
    git(root, "push", "--quiet", "--set-upstream", "origin", "feature/x")
    git(root, "switch", "--quiet", "main")
    git(root, "tag", "--annotate", "--message", "First", "v1")
    git(there, "remote", "add", "origin", str(bare))
    for name, text in (("refs/heads/theirs", "three\n"), ("refs/pull/7/head", "four\n"), ("refs/tags/v9", "five\n")):
        committed(there, text)
        git(there, "push", "--quiet", "origin", f"HEAD:{name}")
    return root


def state_of(root: Path) -> tuple[object, ...]:
    """What must not change: files, index, references, reflogs, and everything else in the git folder."""
    inside = sorted(
        (str(path), path.lstat().st_mtime_ns, path.lstat().st_size) for path in root.rglob("*") if not path.is_dir()
    )
    status = git(root, "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--ignored")
    return (status, git(root, "for-each-ref"), inside)


def out(root: Path, ref: str, stack: str = "blog-x", **environment: str) -> tuple[Path, Revision]:
    """Check out a reference, and show that the repository is not touched."""
    before = state_of(root)
    shell = Local(environment=dict(os.environ) | environment)
    checkouts = Checkouts(supply_of(root, shell), root.name, shell)
    revision = checkouts.resolve(ref)
    with checkouts.using(stack, revision, print) as made:
        version = source.read(made.folder, shell, environment).version
    assert (version.text, version.is_dirty) == (revision.commit, False)
    assert state_of(root) == before
    assert made.folder.name == root.name
    assert made.folder.parents[1].stat().st_mode & 0o777 == 0o700
    assert checkouts.last_ref(stack) == revision.ref
    return made.folder, revision


def content(folder: Path) -> str:
    return (folder / "a.txt").read_text()


@pytest.mark.parametrize(
    ("ref", "text", "remembered", "branch", "upstream"),
    [
        ("feature/x", "two\n", "feature/x", "feature/x", "refs/heads/feature/x"),
        ("origin/feature/x", "two\n", "origin/feature/x", "feature/x", "refs/heads/feature/x"),
        ("HEAD", "one\n", "main", "main", "refs/heads/main"),
        ("v1", "one\n", "v1", "", ""),
        ("theirs", "three\n", "theirs", "theirs", "refs/heads/theirs"),
        ("v9", "five\n", "v9", "", ""),
        ("pr/7", "four\n", "pr/7", "pr/7", "refs/pull/7/head"),
    ],
)
def test_a_reference_has_its_commit_and_its_branch(
    root: Path, ref: str, text: str, remembered: str, branch: str, upstream: str
) -> None:
    write(root, {"a.txt": "changed\n", "new.txt": "new\n"})
    folder, revision = out(root, ref)
    assert content(folder) == text
    assert (revision.ref, revision.branch, revision.upstream) == (remembered, branch, upstream)
    assert git(folder, "branch", "--show-current") == branch
    assert git(folder, "remote", "get-url", "origin") == str(root.parent / "blog.git")
    assert "v1" in git(folder, "tag")
    if upstream.startswith("refs/heads/"):
        assert git(folder, "rev-parse", "--abbrev-ref", "@{upstream}") == f"origin/{upstream[len('refs/heads/') :]}"
    assert git(folder, "status", "--porcelain") == ""


def test_a_short_commit_and_a_commit_of_the_remote_are_found(root: Path) -> None:
    own = git(root, "rev-parse", "feature/x")
    folder, revision = out(root, own[:9])
    assert (content(folder), revision) == ("two\n", Revision(own, own))
    theirs = git(root.parent / "there", "rev-parse", "HEAD~1")
    git(root.parent / "blog.git", "config", "uploadpack.allowAnySHA1InWant", "true")
    assert content(out(root, theirs)[0]) == "four\n"


def test_a_branch_comes_before_a_tag_of_the_same_name(root: Path) -> None:
    git(root, "tag", "feature/x", "main")
    assert content(out(root, "feature/x")[0]) == "two\n"


def test_a_checkout_follows_its_reference_and_keeps_nothing_of_another(root: Path) -> None:
    folder, first = out(root, "main")
    write(folder, {"a.txt": "by initializeCommand\n", "left.txt": "", "cache.log": "kept\n"})
    out(root, "main")
    assert sorted(path.name for path in folder.iterdir()) == [".git", ".gitignore", "a.txt", "cache.log"]
    (folder / ".git/index.lock").touch()
    committed(root, "six\n")
    again, second = out(root, "main")
    assert (again, content(folder)) == (folder, "six\n")
    assert first.commit != second.commit
    assert not (folder / "cache.log").exists()
    assert content(out(root, "feature/x")[0]) == "two\n"
    assert git(folder, "for-each-ref", "refs/heads", "--format=%(refname)") == "refs/heads/feature/x"


def test_objects_are_borrowed_and_a_broken_checkout_is_made_again(root: Path) -> None:
    folder, _ = out(root, "main")
    assert [path for path in (folder / ".git/objects").rglob("*") if path.is_file()] == [
        folder / ".git/objects/info/alternates"
    ]
    (folder / ".git/index").write_bytes(b"broken")
    assert content(out(root, "main")[0]) == "one\n"


def test_a_stack_is_forgotten_with_what_was_fetched_for_it(root: Path, tmp_path: Path) -> None:
    out(root, "pr/7", "blog-a")
    out(root, "main", "blog-b")
    shell = Local()
    checkouts = Checkouts(supply_of(root, shell), root.name, shell)
    checkouts.forget("blog-a", print)
    assert not checkouts.of("blog-a").exists()
    assert checkouts.of("blog-b").exists()
    checkouts.forget("blog-b", print)
    assert list((tmp_path / "cache/kamal-dev").iterdir()) == []


@pytest.mark.parametrize(
    ("ref", "words", "hint"),
    [
        ("feature/y", "no branch, tag or commit `feature/y`", "did you mean `feature/x`"),
        ("-x", "no branch", "use a branch"),
        ("--upload-pack=touch /tmp/x", "no branch", "use a branch"),
        ("main..feature/x", "no branch", "did you mean"),
        ("HEAD:a.txt", "no branch", "use a branch"),
        ("a\nb", "no branch", "use a branch"),
        ("refs/heads/*", "no branch", "use a branch"),
        ("", "no branch", "use a branch"),
        ("0" * 40, "no branch", "use a branch"),
        ("pr/8", "no pull request 8", "its number"),
    ],
)
def test_what_names_no_commit_is_an_error_with_a_hint(root: Path, ref: str, words: str, hint: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        out(root, ref)
    assert hint in caught.value.hint


def test_a_remote_that_does_not_answer_is_an_error_with_gits_words(root: Path) -> None:
    git(root, "remote", "set-url", "origin", str(root.parent / "nowhere"))
    with pytest.raises(GitFailed, match=r"cannot read `origin`: fatal: .*nowhere"):
        out(root, "theirs")
    # What is here needs no remote.
    assert content(out(root, "feature/x")[0]) == "two\n"


def test_credentials_of_a_remote_are_not_copied(root: Path) -> None:
    git(root, "remote", "set-url", "origin", "https://ann:t0ken@example.org/blog.git")
    folder, _ = out(root, "main")
    assert git(folder, "remote", "get-url", "origin") == "https://example.org/blog.git"
    assert not any(b"t0ken" in path.read_bytes() for path in folder.rglob("*") if path.is_file())


# --- kinds of repositories


def test_in_a_linked_worktree(root: Path) -> None:
    tree = root.parent / "tree"
    git(root, "worktree", "add", "--quiet", str(tree), "-b", "wt")
    committed(tree, "in the worktree\n")
    assert content(out(tree, "HEAD")[0]) == "in the worktree\n"
    assert content(out(tree, "main")[0]) == "one\n"
    assert content(out(root, "wt")[0]) == "in the worktree\n"


def test_a_shallow_clone(root: Path) -> None:
    shallow = root.parent / "shallow"
    address = f"file://{root.parent}/blog.git"
    git(root.parent, "clone", "--quiet", "--depth=1", "--branch=feature/x", address, str(shallow))
    folder, _ = out(shallow, "feature/x")
    assert content(folder) == "two\n"
    assert git(folder, "log", "--format=%s") == "two"
    assert content(out(shallow, "theirs")[0]) == "three\n"


def test_a_sparse_checkout_and_a_partial_clone_get_the_whole_commit(root: Path) -> None:
    write(root, {"big/b.txt": "big\n"})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Big")
    git(root, "push", "--quiet", "origin", "main")
    git(root, "sparse-checkout", "set", "--no-cone", "/a.txt")
    assert not (root / "big").exists()
    assert (out(root, "main")[0] / "big/b.txt").read_text() == "big\n"
    bare, partial = root.parent / "blog.git", root.parent / "partial"
    git(bare, "config", "uploadpack.allowFilter", "true")
    git(bare, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(root.parent, "clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{bare}", str(partial))
    assert (out(partial, "main")[0] / "big/b.txt").read_text() == "big\n"


def test_a_sha256_repository(tmp_path: Path) -> None:
    root = begun(tmp_path / "new", "--object-format=sha256")
    folder, revision = out(root, "main")
    assert (content(folder), len(revision.commit)) == ("one\n", 64)


def test_submodules_come_from_the_repository(root: Path, tmp_path: Path) -> None:
    deep = begun(tmp_path / "deep", text="deep\n")
    lib = begun(tmp_path / "lib", text="lib\n")
    git(lib, "submodule", "--quiet", "add", str(deep), "in/deep")
    git(lib, "commit", "--quiet", "--message", "Deep")
    git(root, "submodule", "--quiet", "add", "--name", "its-name", str(lib), "lib")
    git(root, "submodule", "--quiet", "add", str(deep), "unused")
    git(root, "submodule", "--quiet", "update", "--init", "--recursive")
    git(root, "commit", "--quiet", "--message", "Lib")
    git(root, "submodule", "--quiet", "deinit", "--force", "unused")
    git(root, "rm", "--quiet", "--cached", "unused")
    git(root, "commit", "--quiet", "--message", "Unused")
    lib.rename(tmp_path / "gone")
    folder, _ = out(root, "main")
    assert (content(folder / "lib"), content(folder / "lib/in/deep")) == ("lib\n", "deep\n")
    assert source.read(folder, Local()).left_out == ()
    # A commit of it that the repository does not have is fetched from its remote.
    (tmp_path / "gone").rename(lib)
    committed(lib, "newer\n")
    git(root, "update-index", "--cacheinfo", f"160000,{git(lib, 'rev-parse', 'HEAD')},lib")
    git(root, "commit", "--quiet", "--message", "Newer")
    assert content(out(root, "main")[0] / "lib") == "newer\n"
    # And a commit before it has no submodule.
    assert not (out(root, "v1")[0] / "lib").exists()


def test_a_submodule_whose_name_leads_out_is_left_empty(root: Path, tmp_path: Path) -> None:
    lib = begun(tmp_path / "lib", text="lib\n")
    git(root, "submodule", "--quiet", "add", str(lib), "lib")
    text = (root / ".gitmodules").read_text().replace('"lib"', '"../../../blog/.git/modules/lib"')
    write(root, {".gitmodules": text})
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Hostile")
    assert list((out(root, "main")[0] / "lib").iterdir()) == []


def test_in_a_git_hook_it_is_still_the_commit_of_the_reference(root: Path) -> None:
    write(root, {"a.txt": "staged\n"})
    git(root, "add", "--all")
    inside = {"GIT_DIR": str(root / ".git"), "GIT_INDEX_FILE": ".git/index", "GIT_PREFIX": "", "GIT_WORK_TREE": "."}
    assert content(out(root, "feature/x", **inside)[0]) == "two\n"
    assert content(out(root, "theirs", **inside)[0]) == "three\n"


def test_hooks_of_the_user_do_not_run(root: Path, tmp_path: Path) -> None:
    write(tmp_path / "hooks", dict.fromkeys(("post-checkout", "post-index-change"), "#!/bin/sh\necho ran >>../ran\n"))
    for hook in (tmp_path / "hooks").iterdir():
        hook.chmod(0o755)
    subprocess.run(["git", "config", "--global", "core.hooksPath", str(tmp_path / "hooks")], check=True)
    folder, _ = out(root, "feature/x")
    assert not list(folder.parent.parent.rglob("ran"))
