"""A tag contains what it says.

A version is a name for content: two contents are two versions, wherever in the repository they differ and whatever git
was told not to look at. Where git refuses, that is an error with git's own words; only a folder with no `.git` up to
`/` is outside git. What is built is what was read, or the deploy stops and names the file. (That what git left out here
is neither there nor deleted on a host is in tests/workspace/test_left_out.py, that no build is skipped because of a
tag in test_images.py.)
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from kamal_dev.errors import GitFailed, SourceChanged
from kamal_dev.model import Result, Step
from kamal_dev.output import Output
from kamal_dev.pipeline.images.building import build_all
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import snapshot
from kamal_dev.project.source import Source, differences, read
from kamal_dev.project.withheld import Withheld
from kamal_dev.shell.local import Local
from tests.real.lab import DOCKERFILE, Lab, docker, has_image
from tests.workspace.lab import git, write


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    return repository(tmp_path / "blog")


def repository(folder: Path, *options: str, files: Mapping[str, str] | None = None) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch", "main", *options)
    write(folder, files or {"a.txt": "one\n", "sub/b.txt": "two\n", ".gitignore": "*.log\nbuild/\n"})
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "One")
    return folder


def look(folder: Path, **environment: str) -> Source:
    return read(folder, Local(environment=dict(os.environ) | environment), environment)


def text(folder: Path) -> str:
    return look(folder).version.text


def head(folder: Path) -> str:
    return git(folder, "rev-parse", "HEAD")


def with_submodules(root: Path) -> Path:
    """Give a repository a submodule `lib` that has a submodule `deep`; returns the folder of the inner one."""
    deep, lib = root.parent / "deep", root.parent / "lib"
    repository(deep, files={"x.txt": "x\n"})
    repository(lib, files={"y.txt": "y\n"})
    git(lib, "submodule", "--quiet", "add", str(deep), "deep")
    git(lib, "commit", "--quiet", "--message", "Deep")
    git(root, "submodule", "--quiet", "add", str(lib), "lib")
    git(root, "submodule", "--quiet", "update", "--init", "--recursive")
    git(root, "commit", "--quiet", "--message", "Lib")
    return root / "lib/deep"


# --- two contents are two versions


def test_a_linked_worktree_has_a_version_for_each_content(root: Path) -> None:
    tree = root.parent / "w"
    git(root, "worktree", "add", "--quiet", str(tree), "-b", "wt")
    assert text(tree) == head(tree)
    found = []
    for content in ("1\n", "2\n", "1\n"):
        write(tree, {"a.txt": content})
        write(root, {"a.txt": content})
        found.append(text(tree))
        assert text(root) == text(tree)
    assert found[0] == found[2] != found[1]
    assert all(len(version.partition("-dirty-")[2]) == 12 for version in found)


@pytest.mark.parametrize("path", ["lib/y.txt", "lib/new.txt", "lib/deep/x.txt", "lib/deep/new.txt"])
@pytest.mark.parametrize("hidden", [False, True])
def test_a_change_in_a_submodule_changes_the_version(root: Path, path: str, hidden: bool) -> None:
    with_submodules(root)
    if hidden:
        git(root, "config", "submodule.lib.ignore", "all")
        git(root, "config", "diff.ignoreSubmodules", "all")
        git(root / "lib", "config", "submodule.deep.ignore", "all")
        git(root / "lib", "config", "status.showUntrackedFiles", "no")
        git(root / "lib/deep", "config", "status.showUntrackedFiles", "no")
    clean = look(root)
    assert (clean.version.text, clean.version.is_dirty) == (head(root), False)
    write(root, {path: "1\n"})
    first = look(root)
    write(root, {path: "2\n"})
    second = look(root)
    assert len({clean.version, first.version, second.version}) == 3
    assert len({clean.state, first.state, second.state}) == 3
    assert second.changed == (path,)


def test_a_submodule_at_another_commit_changes_the_version(root: Path) -> None:
    with_submodules(root)
    git(root / "lib", "commit", "--quiet", "--allow-empty", "--message", "Two")
    moved = text(root)
    assert moved.startswith(f"{head(root)}-dirty-")
    git(root / "lib", "commit", "--quiet", "--allow-empty", "--message", "Three")
    assert text(root) != moved


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_file_that_git_was_told_not_to_look_at_changes_the_version(root: Path, flag: str) -> None:
    git(root, "update-index", flag, "a.txt")
    assert text(root) == head(root)
    write(root, {"a.txt": "two\n"})
    first = text(root)
    write(root, {"a.txt": "three\n"})
    assert len({head(root), first, text(root)}) == 3
    assert git(root, "status", "--porcelain") == ""


def test_a_repository_inside_that_is_no_submodule_changes_the_version(root: Path) -> None:
    inner = repository(root / "inner", files={"x.txt": "1\n"})
    first = text(root)
    write(inner, {"x.txt": "2\n"})
    assert text(root) != first


def test_modes_links_and_names_with_odd_letters_change_the_version(root: Path) -> None:
    found = {text(root)}
    (root / "a.txt").chmod(0o755)
    found.add(text(root))
    (root / "ü \n\tx").symlink_to("a.txt")
    found.add(text(root))
    assert len(found) == 3
    assert look(root).changed == ("a.txt", "ü \n\tx")


def test_what_is_staged_alone_does_not_change_the_version(root: Path) -> None:
    write(root, {"a.txt": "two\n"})
    git(root, "add", "a.txt")
    write(root, {"a.txt": "one\n"})
    staged = look(root)
    assert staged.version.text == head(root)
    git(root, "reset", "--quiet")
    assert look(root).state != staged.state


def test_a_sha256_repository_has_versions_too(root: Path) -> None:
    made = repository(root.parent / "new", "--object-format=sha256")
    assert text(made) == head(made) and len(head(made)) == 64
    write(made, {"a.txt": "two\n"})
    assert text(made).startswith(f"{head(made)}-dirty-")


def test_a_shallow_clone_has_the_version_of_its_commit(root: Path) -> None:
    git(root, "commit", "--quiet", "--allow-empty", "--message", "Two")
    shallow = root.parent / "shallow"
    git(root, "clone", "--quiet", "--depth=1", f"file://{root}", str(shallow))
    assert text(shallow) == head(root)
    for folder in (root, shallow):
        write(folder, {"new.txt": "1\n"})
    assert text(shallow) == text(root)


def test_a_folder_with_a_colon_in_its_name_has_versions(root: Path) -> None:
    moved = root.rename(root.with_name('a:b "c"'))
    write(moved, {"a.txt": "two\n"})
    assert text(moved).startswith(f"{head(moved)}-dirty-")


def test_outside_git_any_content_is_a_version(tmp_path: Path) -> None:
    write(tmp_path, {"a": "x", "b": "y", "c/d": "z"})
    os.utime(tmp_path / "b", (1e9, 1e9))
    versions = [text(tmp_path)]
    (tmp_path / "b").unlink()
    versions.append(text(tmp_path))
    write(tmp_path, {"b": "Y"})
    os.utime(tmp_path / "b", (1e9, 1e9))
    versions.append(text(tmp_path))
    (tmp_path / "c/d").chmod(0o700)
    versions.append(text(tmp_path))
    (tmp_path / "b").unlink()
    (tmp_path / "b").symlink_to("a")
    versions.append(text(tmp_path))
    assert len(set(versions)) == 5
    assert text(tmp_path) == versions[-1]


# --- what git left out is known


def test_what_git_left_out_is_part_of_the_state_and_not_of_the_version(root: Path) -> None:
    deep = with_submodules(root)
    whole = look(root)
    git(deep.parent, "submodule", "--quiet", "deinit", "--force", "deep")
    git(root, "update-index", "--skip-worktree", "sub/b.txt")
    (root / "sub/b.txt").unlink()
    source = look(root)
    assert (source.version, source.left_out) == (whole.version, ("sub/b.txt", "lib/deep"))
    assert source.state != whole.state
    assert differences(whole, source, Local()) == ("lib/deep", "sub/b.txt")


def test_a_submodule_whose_folder_was_deleted_is_a_change(root: Path) -> None:
    with_submodules(root)
    shutil.rmtree(root / "lib")
    assert text(root).startswith(f"{head(root)}-dirty-")


# --- where git refuses, that is an error


def damage_pointer(root: Path) -> None:
    shutil.rmtree(root / ".git")
    (root / ".git").write_text("gitdir: /nowhere\n")


def damage_folder(root: Path) -> None:
    shutil.rmtree(root / ".git")
    (root / ".git").mkdir()


def damage_settings(root: Path) -> None:
    (root / ".git/config").write_text("[core\n")


def damage_head(root: Path) -> None:
    (root / ".git/HEAD").write_text("damaged\n")


def damage_branch(root: Path) -> None:
    (root / ".git/refs/heads/main").write_text("damaged\n")


def damage_commit(root: Path) -> None:
    (root / ".git/refs/heads/main").write_text(f"{'1' * 40}\n")


def damage_index(root: Path) -> None:
    (root / ".git/index").write_bytes(b"DIRC damaged")


def damage_owner(root: Path) -> None:
    os.chown(root, 12345, 12345)
    os.chown(root / ".git", 12345, 12345)


DAMAGES = [damage_pointer, damage_folder, damage_settings, damage_head, damage_branch, damage_commit, damage_index]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("folder", ["", "sub"])
def test_a_repository_that_git_refuses_is_an_error_with_its_words(root: Path, damage: object, folder: str) -> None:
    damage(root)  # type: ignore[operator]
    with pytest.raises(GitFailed) as raised:
        look(root / folder)
    assert str(root) in raised.value.message
    assert raised.value.hint


def test_a_damaged_folder_inside_another_repository_is_not_taken_for_that_one(root: Path) -> None:
    (root / "sub/.git").mkdir()
    with pytest.raises(GitFailed, match="is not a repository"):
        look(root / "sub")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_repository_of_another_owner_says_how_to_trust_it(root: Path) -> None:
    damage_owner(root)
    with pytest.raises(GitFailed, match="dubious ownership") as raised:
        look(root)
    assert f"git config --global --add safe.directory {root}" in raised.value.hint


def test_a_submodule_that_git_refuses_is_an_error(root: Path) -> None:
    (with_submodules(root) / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(GitFailed):
        look(root)


def test_a_missing_git_is_an_error_where_there_is_a_repository(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothing = Local(environment={"PATH": str(tmp_path / "empty")})
    with pytest.raises(GitFailed, match="git is not installed"):
        read(root / "sub", nothing)
    assert read(tmp_path / "empty", nothing).version.text


def test_a_file_that_cannot_be_staged_is_an_error(root: Path) -> None:
    repository(root / "inner", files={"x": "1"})
    shutil.rmtree(root / "inner/.git/refs/heads")
    (root / "inner/.git/refs/heads").mkdir()
    with pytest.raises(GitFailed, match=r"does not have a commit checked out|Unable to process path inner"):
        look(root)


# --- the environment of another repository says nothing of this one


def test_variables_of_another_repository_do_not_count(root: Path) -> None:
    other = repository(root.parent / "other", files={"o.txt": "other\n"})
    expected = look(root)
    foreign = {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git/index"),
        "GIT_OBJECT_DIRECTORY": str(other / ".git/objects"),
        "GIT_COMMON_DIR": str(other / ".git"),
        "GIT_PREFIX": "web/",
    }
    assert look(root, **foreign) == expected
    assert look(root / "sub", **foreign) == expected
    for name, value in foreign.items():
        assert look(root, **{name: value}) == expected


def test_every_variable_that_git_calls_local_is_taken_out(root: Path) -> None:
    from kamal_dev.commands.git import LOCAL

    kept = {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
    assert set(git(root, "rev-parse", "--local-env-vars").split()) - set(LOCAL.split()) <= kept


@pytest.mark.parametrize("linked", [False, True])
def test_a_hook_of_this_repository_sees_the_commit_that_is_being_made(root: Path, linked: bool) -> None:
    hook = root / ".git/hooks/pre-commit"
    out = root.parent / "seen"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nenv >"{out}"\ncp "$GIT_INDEX_FILE" "{out}.index"\n')
    hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
    tree = root
    if linked:
        tree = root.parent / "w"
        git(root, "worktree", "add", "--quiet", str(tree), "-b", "wt")
    write(tree, {"a.txt": "two\n"})
    before = text(tree)
    git(tree, "commit", "--quiet", "--all", "--message", "Two")
    lines = [line.partition("=") for line in out.read_text().splitlines() if line.startswith("GIT_")]
    environment = {name: value for name, _, value in lines if not name.startswith("GIT_CONFIG")}
    git(tree, "reset", "--quiet", "--soft", "HEAD~1")
    index = Path(environment["GIT_INDEX_FILE"])
    index = index if index.is_absolute() else tree / index
    shutil.copy2(f"{out}.index", index)
    try:
        seen = look(tree, **environment)
    finally:
        index.unlink()
    assert seen.version.text == before


def test_a_hook_of_this_repository_sends_what_is_being_committed(root: Path, tmp_path: Path) -> None:
    write(root, {"a.txt": "two\n"})
    shutil.copy2(root / ".git/index", root / ".git/next-index.lock")
    environment = {"GIT_INDEX_FILE": ".git/next-index.lock"}
    subprocess.run(["git", "-C", str(root), "add", "a.txt"], check=True, env=os.environ | environment)
    source = look(root, **environment)
    taken = snapshot.read(source, Local(), stores=tmp_path / "stores", withheld=Withheld(), say=lambda text: None)
    (part,) = taken.parts
    assert (part.index, taken.state) == (part.tree, source.state)
    unstaged = snapshot.read(
        look(root), Local(), stores=tmp_path / "stores", withheld=Withheld(), say=lambda text: None
    )
    assert unstaged.parts[0].index != part.index


# --- what changed between two looks is named


def test_files_that_changed_between_two_looks_are_named(root: Path) -> None:
    deep = with_submodules(root)
    write(root, {"a.txt": "dirty\n", "new.txt": "1\n"})
    before = look(root)
    assert differences(before, look(root), Local()) == ()
    write(root, {"a.txt": "dirtier\n", "sub/b.txt": "3\n", "lib/y.txt": "2\n"})
    write(deep, {"x.txt": "2\n"})
    (root / "new.txt").unlink()
    assert differences(before, look(root), Local()) == ("a.txt", "lib/deep/x.txt", "lib/y.txt", "new.txt", "sub/b.txt")


def test_a_commit_of_the_same_content_changes_nothing(root: Path) -> None:
    write(root, {"a.txt": "dirty\n", "new.txt": "1\n"})
    before = look(root)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Two")
    after = look(root)
    assert after.version != before.version
    assert differences(before, after, Local()) == ()
    git(root, "reset", "--quiet", "--hard", "HEAD~1")
    assert differences(after, look(root), Local()) == ("a.txt", "new.txt")
    write(root, {"a.txt": "other\n"})
    assert differences(before, look(root), Local()) == ("a.txt", "new.txt")


def test_outside_git_files_that_changed_are_named(tmp_path: Path) -> None:
    write(tmp_path, {"a": "x", "b": "y", "c": "z"})
    before = look(tmp_path)
    write(tmp_path, {"a": "X", "d": "new"})
    (tmp_path / "b").unlink()
    assert differences(before, look(tmp_path), Local()) == ("a", "b", "d")


# --- what is built is what was read


COMPOSE = "services: {app: {build: {context: ../sub, additional_contexts: {more: ../m}}}}\n"


class Builder(Local):
    """A machine on which people go on working while an image is built; every other step is real."""

    def __init__(self, work: Callable[[], object]) -> None:
        super().__init__()
        self._work = work
        self.steps: list[str] = []

    def run(self, step: Step, **options: Any) -> Result:
        if step.argv[0] != "docker":
            return super().run(step, **options)
        self.steps.append(step.text)
        if step.argv[1:3] == ("buildx", "build"):
            self._work()
        return Result(step, 0, json.dumps({"id": "sha256:1", "digests": [], "labels": {}}))


def build(root: Path, work: Callable[[], object]) -> Builder:
    machine = Builder(work)
    run = Run.open(root, Output(lambda event: None), environment={"PATH": os.environ["PATH"]})
    run = replace(run, local=machine)
    try:
        build_all(run.project, run.tools, BuildOptions())
    finally:
        run.close()
    return machine


@pytest.fixture
def built(root: Path) -> Path:
    write(
        root,
        {
            "config/dev.yml": "service: blog\nregistry: {server: 'localhost:5999'}\n",
            ".devcontainer/compose.yaml": COMPOSE,
            ".devcontainer/devcontainer.json": '{"dockerComposeFile": "compose.yaml", "service": "app"}\n',
            "sub/Dockerfile": "FROM debian:12\n",
            "m/x": "1\n",
        },
    )
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "Two")
    return root


@pytest.mark.parametrize("path", ["sub/b.txt", "sub/new", "sub/Dockerfile", "m/x"])
def test_a_file_saved_during_a_build_stops_it_by_name(built: Path, path: str) -> None:
    with pytest.raises(SourceChanged, match=f"`{path}`") as raised:
        build(built, lambda: write(built, {path: "99\n"}))
    assert (raised.value.exit_code, raised.value.left_behind) == (1, "no image was pushed and no container was changed")
    git(built, "clean", "--quiet", "--force")
    git(built, "checkout", "--quiet", ".")
    build(built, lambda: None)


def test_the_name_of_an_image_that_is_not_what_it_says_is_taken_back(built: Path) -> None:
    machine = Builder(lambda: write(built, {"sub/b.txt": "99\n"}))
    run = Run.open(built, Output(lambda event: None), environment={"PATH": os.environ["PATH"]})
    run = replace(run, local=machine)
    with pytest.raises(SourceChanged):
        build_all(run.project, run.tools, BuildOptions())
    run.close()
    assert machine.steps[-1] == f"docker image rm --no-prune localhost:5999/blog-dev:{head(built)}"


def test_a_commit_or_a_checkout_during_a_build_stops_it_only_where_content_differs(built: Path) -> None:
    write(built, {"sub/b.txt": "dirty\n"})
    build(built, lambda: git(built, "commit", "--quiet", "--all", "--message", "Three"))
    with pytest.raises(SourceChanged, match=r"`sub/b.txt`"):
        build(built, lambda: git(built, "checkout", "--quiet", "HEAD~1"))


def test_files_that_no_build_reads_may_change(built: Path) -> None:
    build(built, lambda: write(built, {"a.txt": "99\n", "new/x.txt": "1\n", "sub/x.log": "ignored\n"}))


def test_outside_git_a_file_saved_during_a_build_stops_it_too(built: Path) -> None:
    shutil.rmtree(built / ".git")
    with pytest.raises(SourceChanged, match=r"`sub/b.txt`"):
        build(built, lambda: write(built, {"sub/b.txt": "99\n"}))


def test_a_file_that_was_read_after_it_changed_is_not_what_the_version_says(built: Path) -> None:
    run = Run.open(built, Output(lambda event: None), environment={"PATH": os.environ["PATH"]})
    compose = built / ".devcontainer/compose.yaml"
    write(built, {".devcontainer/compose.yaml": compose.read_text() + "# saved before it was read\n"})
    run = replace(run, local=Builder(lambda: None))
    with pytest.raises(SourceChanged, match=r"compose\.yaml"):
        build_all(run.project, run.tools, BuildOptions())
    run.close()


@pytest.mark.real
def test_a_file_saved_during_a_build_is_in_no_image_of_the_commit(lab: Lab) -> None:
    # No build before has done this, so that it takes its time.
    slow = f"{DOCKERFILE}RUN sleep 6; : {uuid4().hex}\n"
    made = lab.small("saved", ["root@127.0.0.1:1"], {".devcontainer/Dockerfile": slow})
    hook = made.root / ".kamal/hooks/pre-build"
    made.write({".kamal/hooks/pre-build": "#!/bin/sh\n(sleep 3; echo 99 >.devcontainer/message) >/dev/null 2>&1 &\n"})
    hook.chmod(0o755)
    ended = made.dev("build", code=1)
    assert "`.devcontainer/message` changed while" in ended.stderr
    assert "no image was pushed and no container was changed" in ended.stderr
    assert not has_image(made.image())
    hook.unlink()
    assert made.dev("build").stdout.strip().startswith(f"{made.image()}-dirty-")
    made.write({".devcontainer/message": "saved\n"})
    assert f"`{made.image()}` was not built" in made.dev("push", code=1).stderr
    assert made.dev("build").stdout.strip() == made.image()
    assert docker("run", "--rm", "--network=none", made.image(), "cat", "/message") == "saved\n"
