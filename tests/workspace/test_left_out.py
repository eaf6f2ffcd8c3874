"""What git left out here is neither there nor deleted on a host, and no pull commits that it is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workspace.lab import Lab, git, tree, write

BIG = {"b/big": "big\n", "b/deep/er": "deeper\n", "c.txt": "three\n"}


def sparse(lab: Lab, *options: str) -> None:
    git(lab.root, "sparse-checkout", "set", *options, ".devcontainer", "config", "a")


def link(lab: Lab, path: str = "vendor/lib") -> None:
    """Add a submodule that nobody has checked out."""
    write(lab.root, {".gitmodules": f'[submodule "{path}"]\n\tpath = {path}\n\turl = https://git.example/private\n'})
    git(lab.root, "update-index", "--add", "--cacheinfo", f"160000,{git(lab.root, 'rev-parse', 'HEAD')},{path}")
    git(lab.root, "add", ".gitmodules")
    git(lab.root, "commit", "--quiet", "--message", "Lib")
    (lab.root / path).mkdir(parents=True)
    assert git(lab.root, "status", "--porcelain") == ""


def status(folder: Path) -> str:
    return git(folder, "status", "--porcelain", "--ignore-submodules=none")


def assert_pull_keeps(lab: Lab, *paths: str) -> None:
    """Change a file there, pull, merge as it is advised, and find what was left out still in the history."""
    (pulled,) = lab.pull()
    kept = git(lab.root, "ls-tree", "-r", "--name-only", pulled.branch).splitlines()
    assert set(paths) <= set(kept)
    gone = git(lab.root, "diff", "--diff-filter=D", "--name-only", "HEAD", pulled.branch)
    assert gone == ""
    git(lab.root, "merge", "--quiet", pulled.branch)
    assert git(lab.root, "ls-files", "--", *paths).splitlines() == sorted(paths)


@pytest.mark.parametrize("options", [(), ("--no-cone",), ("--sparse-index",)])
@pytest.mark.parametrize("committed", [False, True])
def test_a_sparse_checkout_is_sparse_there(lab: Lab, options: tuple[str, ...], committed: bool) -> None:
    lab.commit({"a/keep": "keep\n", **BIG})
    sparse(lab, *options)
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)
    assert (status(lab.clone), (lab.clone / "b").exists()) == ("", False)
    assert (lab.bring(), lab.bring(ask=True), lab.pull()) == ("same", "moved", ())
    write(lab.clone, {"a/keep": "changed there\n"})
    if committed:
        git(lab.clone, "commit", "--quiet", "--all", "--message", "Mine")
        write(lab.clone, {"new.txt": "and a file more\n"})
    assert_pull_keeps(lab, "a/keep", *BIG)


def test_a_staged_file_of_a_sparse_checkout_is_staged_there(lab: Lab) -> None:
    lab.commit(BIG)
    sparse(lab)
    write(lab.root, {"a.txt": "staged\n"})
    git(lab.root, "add", "a.txt")
    assert lab.bring() == "new"
    assert (tree(lab.clone), status(lab.clone)) == (tree(lab.root), "M  a.txt")
    assert lab.bring() == "same"


def test_what_a_sparse_checkout_brings_later_comes_there(lab: Lab) -> None:
    lab.commit({"a/keep": "keep\n", **BIG})
    sparse(lab)
    lab.bring()
    git(lab.root, "sparse-checkout", "add", "b")
    assert lab.bring() == "moved"
    assert ((lab.clone / "b/big").read_text(), status(lab.clone)) == ("big\n", "")
    sparse(lab)
    assert lab.bring() == "moved"
    assert ((lab.clone / "b").exists(), status(lab.clone)) == (False, "")
    git(lab.root, "sparse-checkout", "disable")
    assert lab.bring() == "moved"
    assert (tree(lab.clone), status(lab.clone)) == (tree(lab.root), "")


def test_what_people_bring_or_delete_there_themselves_is_pulled(lab: Lab) -> None:
    lab.commit({"a/keep": "keep\n", **BIG})
    sparse(lab)
    lab.bring()
    write(lab.clone, {"b/big": "larger\n"})
    git(lab.clone, "rm", "--quiet", "--cached", "--sparse", "b/deep/er")
    git(lab.clone, "commit", "--quiet", "--message", "Remove what I do not need")
    (pulled,) = lab.pull()
    assert git(lab.root, "show", f"{pulled.branch}:b/big") == "larger"
    assert git(lab.root, "diff", "--diff-filter=D", "--name-only", "HEAD", pulled.branch) == "b/deep/er"


@pytest.mark.parametrize("flag", ["--skip-worktree", "--assume-unchanged"])
def test_a_file_that_git_skips_is_no_change_there(lab: Lab, flag: str) -> None:
    lab.commit(BIG)
    git(lab.root, "update-index", flag, "b/big", "c.txt")
    (lab.root / "b/big").unlink()
    write(lab.root, {"c.txt": "only mine\n"})
    assert lab.bring() == "new"
    assert (tree(lab.clone), status(lab.clone)) == (tree(lab.root), "")
    write(lab.clone, {"a.txt": "changed there\n"})
    (pulled,) = lab.pull()
    assert git(lab.root, "diff", "--name-only", "HEAD", pulled.branch) == "a.txt"


def test_a_skipped_file_that_is_there_again_comes(lab: Lab) -> None:
    lab.commit(BIG)
    git(lab.root, "update-index", "--skip-worktree", "b/big")
    (lab.root / "b/big").unlink()
    lab.bring()
    git(lab.root, "update-index", "--no-skip-worktree", "b/big")
    assert lab.bring() == "moved"
    assert (lab.clone / "b/big").exists() is False
    assert status(lab.clone) == status(lab.root) == " D b/big"
    git(lab.root, "checkout", "--quiet", "--", "b/big")
    assert lab.bring() == "moved"
    assert (lab.clone / "b/big").read_text() == "big\n"


def test_a_submodule_that_is_not_checked_out_is_an_empty_folder_there(lab: Lab) -> None:
    link(lab)
    assert lab.bring() == "new"
    assert (list((lab.clone / "vendor/lib").iterdir()), status(lab.clone)) == ([], "")
    assert (lab.bring(), lab.pull()) == ("same", ())
    write(lab.clone, {"a.txt": "changed there\n"})
    assert_pull_keeps(lab, "vendor/lib")
    lab.commit({"b.txt": "newer\n"})
    git(lab.clone, "checkout", "--quiet", ".")
    assert lab.bring() == "moved"
    assert ((lab.clone / "vendor/lib").is_dir(), status(lab.clone)) == (True, "")


def test_a_submodule_comes_and_goes_as_it_is_checked_out_here(lab: Lab) -> None:
    lib = lab.root.parent / "lib"
    lib.mkdir()
    git(lib, "init", "--quiet", "--initial-branch", "main")
    write(lib, {"x.txt": "x\n"})
    git(lib, "add", "--all")
    git(lib, "commit", "--quiet", "--message", "Lib")
    git(lab.root, "submodule", "--quiet", "add", str(lib), "vendor/lib")
    lab.commit()
    git(lab.root, "submodule", "--quiet", "deinit", "--force", "vendor/lib")
    assert lab.bring() == "new"
    assert (list((lab.clone / "vendor/lib").iterdir()), status(lab.clone)) == ([], "")
    git(lab.root, "submodule", "--quiet", "update", "--init")
    assert lab.bring() == "moved"
    assert ((lab.clone / "vendor/lib/x.txt").read_text(), status(lab.clone)) == ("x\n", "")
    git(lab.root, "submodule", "--quiet", "deinit", "--force", "vendor/lib")
    lab.commit({"a.txt": "newer\n"})
    assert lab.bring() == "moved"
    assert status(lab.clone) == ""
    git(lab.root, "rm", "--quiet", "vendor/lib")
    lab.commit()
    assert lab.bring() in ("moved", "skipped")


def test_a_submodule_in_a_submodule_may_be_left_out_too(lab: Lab) -> None:
    lib = lab.root.parent / "lib"
    lib.mkdir()
    git(lib, "init", "--quiet", "--initial-branch", "main")
    write(lib, {"x.txt": "x\n", ".gitmodules": '[submodule "deep"]\n\tpath = deep\n\turl = https://git.example/deep\n'})
    git(lib, "add", "--all")
    git(lib, "commit", "--quiet", "--message", "Lib")
    git(lib, "update-index", "--add", "--cacheinfo", f"160000,{git(lib, 'rev-parse', 'HEAD')},deep")
    git(lib, "commit", "--quiet", "--message", "Deep")
    git(lab.root, "submodule", "--quiet", "add", str(lib), "vendor/lib")
    lab.commit()
    assert status(lab.root) == ""
    assert lab.bring() == "new"
    assert (status(lab.clone), status(lab.clone / "vendor/lib")) == ("", "")
    write(lab.clone, {"vendor/lib/x.txt": "changed there\n"})
    pulled = {branch.path: branch.branch for branch in lab.pull()}
    inner = lab.root / "vendor/lib"
    assert git(inner, "diff", "--name-only", "HEAD", pulled["vendor/lib"]) == "x.txt"


def test_a_backup_keeps_what_was_left_out(lab: Lab) -> None:
    lab.commit({"a/keep": "keep\n", **BIG})
    sparse(lab)
    lab.bring()
    write(lab.clone, {"a/keep": "changed there\n"})
    assert lab.sync(force=True).states == ("moved",)
    (backup,) = git(lab.clone, "branch", "--list", "--format=%(refname:short)", "kamal-dev/backup-*").splitlines()
    assert git(lab.clone, "diff", "--name-only", "HEAD", backup) == "a/keep"


def test_a_deletion_that_somebody_made_is_one_there_as_well(lab: Lab) -> None:
    lab.commit(BIG)
    (lab.root / "c.txt").unlink()
    assert lab.bring() == "new"
    assert status(lab.clone) == " D c.txt"


@pytest.mark.parametrize("command", [("submodule", "deinit", "--force", "vendor/lib")])
def test_sync_sends_the_files_of_submodules_that_are_checked_out(lab: Lab, command: tuple[str, ...]) -> None:
    lib = lab.root.parent / "lib"
    lib.mkdir()
    git(lib, "init", "--quiet", "--initial-branch", "main")
    write(lib, {"x.txt": "x\n"})
    git(lib, "add", "--all")
    git(lib, "commit", "--quiet", "--message", "Lib")
    git(lab.root, "submodule", "--quiet", "add", str(lib), "vendor/lib")
    lab.commit({"config/dev.yml": "service: blog\nworkspace: {source: sync}\n"})
    write(lab.root, {"vendor/lib/new.txt": "new\n"})
    assert lab.bring() == "new"
    assert tree(lab.clone) == tree(lab.root)
    git(lab.root, *command)
    assert lab.bring(force=True) == "new"
    assert list((lab.clone / "vendor/lib").iterdir()) == []


def test_a_sparse_linked_worktree_is_sparse_there(lab: Lab) -> None:
    lab.commit({"a/keep": "keep\n", **BIG})
    main = lab.root
    lab.root = main.parent / "trees" / "blog"
    git(main, "worktree", "add", "--quiet", str(lab.root), "-b", "wt")
    sparse(lab)
    assert lab.bring() == "new"
    assert (tree(lab.clone), status(lab.clone)) == (tree(lab.root), "")
    write(lab.clone, {"a/keep": "changed there\n"})
    assert_pull_keeps(lab, "a/keep", *BIG)


def test_a_partial_clone_that_is_sparse_goes_there(lab: Lab) -> None:
    lab.commit({"a/keep": "keep\n", **BIG})
    full = lab.root.rename(lab.root.parent / "full")
    git(full, "config", "uploadpack.allowFilter", "true")
    git(lab.root.parent, "clone", "--quiet", "--filter=blob:none", "--sparse", full.as_uri(), str(lab.root))
    sparse(lab)
    assert lab.bring() == "new"
    assert (tree(lab.clone), status(lab.clone)) == (tree(lab.root), "")


def test_a_split_index_stays_as_it_is(lab: Lab) -> None:
    git(lab.root, "config", "core.splitIndex", "true")
    lab.commit({"x.txt": "x\n"})
    lab.write({"x.txt": "y\n", "new.txt": "z\n"})
    (lab.root / "a.txt").chmod(0o755)
    before = sorted(path.name for path in (lab.root / ".git").iterdir())
    assert lab.bring() == "new"
    assert sorted(path.name for path in (lab.root / ".git").iterdir()) == before
    assert (tree(lab.clone), status(lab.clone)) == (tree(lab.root), status(lab.root))


# --- secrets


COPIES = (".kamal/secrets.production", ".kamal/secrets-common", ".kamal/secrets.bak", "web/.kamal/secrets.d/key")


@pytest.mark.parametrize("source", ["git", "sync"])
@pytest.mark.parametrize("committed", [False, True])
def test_copies_of_secrets_do_not_travel(lab: Lab, source: str, committed: bool) -> None:
    lab.write(
        {"config/dev.yml": f"service: blog\nworkspace: {{source: {source}}}\n", ".gitignore": "!.kamal/secrets*\n"}
    )
    lab.commit({"x.txt": "x\n"})
    lab.write(dict.fromkeys(COPIES, "TOKEN=xyzzy\n"))
    if committed:
        git(lab.root, "add", "--force", "--", *COPIES)
        git(lab.root, "commit", "--quiet", "--message", "Oops")
    assert lab.bring() == "new"
    found = [path for path in lab.clone.rglob("*") if "secrets" in path.name]
    assert (found, (lab.clone / "x.txt").exists()) == ([], True)
    if source == "sync":
        return
    named = [path for path in COPIES if any(f"`{path}` is committed" in said for said in lab.said)]
    assert (tuple(named), status(lab.clone)) == (COPIES if committed else (), "")
    write(lab.clone, {"a.txt": "changed there\n"})
    (pulled,) = lab.pull()
    assert git(lab.root, "diff", "--name-only", "HEAD", pulled.branch) == "a.txt"


def test_a_copy_of_secrets_in_a_submodule_does_not_travel(lab: Lab) -> None:
    lib = lab.root.parent / "lib"
    lib.mkdir()
    git(lib, "init", "--quiet", "--initial-branch", "main")
    write(lib, {"x.txt": "x\n"})
    git(lib, "add", "--all")
    git(lib, "commit", "--quiet", "--message", "Lib")
    git(lab.root, "submodule", "--quiet", "add", str(lib), "vendor/lib")
    lab.commit()
    write(lab.root, {"vendor/lib/.kamal/secrets": "TOKEN=xyzzy\n"})
    assert lab.bring() == "new"
    assert not (lab.clone / "vendor/lib/.kamal").exists()


# --- repositories of other shapes


def test_a_sha256_repository_goes_there_and_comes_back(lab: Lab) -> None:
    files = tree(lab.root)
    lab.root = lab.root.parent / "new" / "blog"
    lab.root.mkdir(parents=True)
    git(lab.root, "init", "--quiet", "--initial-branch", "main", "--object-format=sha256")
    lab.commit({name: content for name, (_, content) in files.items()})
    lab.write({"b.txt": "not committed\n"})
    assert lab.bring() == "new"
    assert (git(lab.clone, "rev-parse", "HEAD"), status(lab.clone)) == (git(lab.root, "rev-parse", "HEAD"), " M b.txt")
    lab.commit({"a.txt": "newer\n"})
    assert (lab.bring(), lab.bring()) == ("moved", "same")
    write(lab.clone, {"a.txt": "changed there\n"})
    (pulled,) = lab.pull()
    assert git(lab.root, "show", f"{pulled.branch}:a.txt") == "changed there"


def test_a_linked_worktree_goes_there_and_comes_back(lab: Lab) -> None:
    main = lab.root
    lab.root = main.parent / "trees" / "blog"
    git(main, "worktree", "add", "--quiet", str(lab.root), "-b", "wt")
    lab.write({"a.txt": "in the worktree\n"})
    assert lab.bring() == "new"
    assert (tree(lab.clone), git(lab.clone, "branch", "--show-current")) == (tree(lab.root), "wt")
    lab.write({"a.txt": "again\n"})
    assert lab.bring() == "moved"
    write(lab.clone, {"b.txt": "changed there\n"})
    (pulled,) = lab.pull()
    assert git(main, "show", f"{pulled.branch}:b.txt") == "changed there"


def test_a_change_in_a_submodule_moves_the_workspace(lab: Lab) -> None:
    lib = lab.root.parent / "lib"
    lib.mkdir()
    git(lib, "init", "--quiet", "--initial-branch", "main")
    write(lib, {"x.txt": "x\n"})
    git(lib, "add", "--all")
    git(lib, "commit", "--quiet", "--message", "Lib")
    git(lab.root, "submodule", "--quiet", "add", str(lib), "vendor/lib")
    lab.commit()
    assert lab.bring() == "new"
    for content in ("1\n", "2\n"):
        write(lab.root, {"vendor/lib/x.txt": content})
        assert (lab.bring(), lab.bring()) == ("moved", "same")
        assert (lab.clone / "vendor/lib/x.txt").read_text() == content


def test_a_file_saved_while_the_source_is_read_is_not_taken_for_the_version(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kamal_dev.project import store

    stage = store.stage

    def late(*args: object) -> object:
        write(lab.root, {"a.txt": "99\n"})
        return stage(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "stage", late)
    assert lab.bring() == "new"
    monkeypatch.undo()
    assert (lab.clone / "a.txt").read_text() == "99\n"
    git(lab.root, "checkout", "--quiet", ".")
    assert lab.bring() == "moved"
    assert ((lab.clone / "a.txt").read_text(), lab.bring()) == ("one\n", "same")


def test_variables_of_another_repository_do_not_reach_the_workspace(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    other = lab.root.parent / "other"
    other.mkdir()
    git(other, "init", "--quiet")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert lab.bring() == "new"
    write(lab.clone, {"b.txt": "changed there\n"})
    (pulled,) = lab.pull()
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    assert git(lab.root, "show", f"{pulled.branch}:b.txt") == "changed there"
