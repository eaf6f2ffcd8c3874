"""Unusual repositories, in every way in which a stack gets its source: right version, right content.

The ways are a plain deploy of the working tree, `--ref`, `--worktree` and a URL. The branch `feature/x` is deployed;
`main`, which differs, must not be.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kamal_dev.output import Output
from kamal_dev.project import source
from kamal_dev.project.checkout import Checkouts
from kamal_dev.project.remote_repository import RemoteRepository
from kamal_dev.project.repository_url import parse
from kamal_dev.project.revision import supply_of
from kamal_dev.shell.local import Local
from tests.workspace.lab import WHO, git, write

pytestmark = pytest.mark.usefixtures("own_settings")

CONTENT = {"a.txt": "branch\n", "big/b.txt": "big\n"}


@dataclass
class Kind:
    """A repository with what its branch contains; `left_out` is not in the working tree, `inside` is a hook's."""

    root: Path
    content: dict[str, str] = field(default_factory=lambda: dict(CONTENT))
    left_out: tuple[str, ...] = ()
    inside: dict[str, str] = field(default_factory=dict)
    remote: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        return dict(os.environ) | self.inside


def begun(folder: Path, *options: str) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch", "main", *options)
    commit(folder, {"a.txt": "main\n", "big/b.txt": "big\n"})
    git(folder, "switch", "--quiet", "--create", "feature/x")
    commit(folder, {"a.txt": "branch\n"})
    return folder


def commit(folder: Path, files: dict[str, str]) -> None:
    write(folder, files)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Change")


def cloned(tmp_path: Path, *options: str) -> Path:
    there = begun(tmp_path / "srv/blog")
    for key in ("allowFilter", "allowAnySHA1InWant"):
        git(there, "config", f"uploadpack.{key}", "true")
    git(tmp_path, "clone", "--quiet", *options, f"file://{there}", str(tmp_path / "blog"))
    return tmp_path / "blog"


def plain(tmp_path: Path) -> Kind:
    return Kind(begun(tmp_path / "blog"))


def linked_worktree(tmp_path: Path) -> Kind:
    root = begun(tmp_path / "first")
    git(root, "switch", "--quiet", "main")
    git(root, "worktree", "add", "--quiet", str(tmp_path / "blog"), "feature/x")
    return Kind(tmp_path / "blog")


def submodules(tmp_path: Path) -> Kind:
    lib = begun(tmp_path / "lib")
    root = begun(tmp_path / "blog")
    git(root, "submodule", "--quiet", "add", str(lib), "lib")
    git(root, "commit", "--quiet", "--message", "Lib")
    return Kind(root, {**CONTENT, "lib/a.txt": "branch\n", "lib/big/b.txt": "big\n"})


def sparse(tmp_path: Path) -> Kind:
    root = begun(tmp_path / "blog")
    git(root, "sparse-checkout", "set", "--no-cone", "/a.txt")
    return Kind(root, left_out=("big/b.txt",))


def sha256(tmp_path: Path) -> Kind:
    return Kind(begun(tmp_path / "blog", "--object-format=sha256"))


def shallow(tmp_path: Path) -> Kind:
    return Kind(cloned(tmp_path, "--depth=1"))


def partial(tmp_path: Path) -> Kind:
    # git cannot fetch from a partial clone: what it lacks is not sent.
    return Kind(cloned(tmp_path, "--filter=blob:none"), remote=tmp_path / "srv/blog")


def in_a_hook(tmp_path: Path) -> Kind:
    """As in a `post-commit` hook of another repository, which sets variables for itself."""
    other = begun(tmp_path / "other")
    inside = {"GIT_DIR": str(other / ".git"), "GIT_INDEX_FILE": str(other / ".git/index"), "GIT_PREFIX": "sub/"}
    return Kind(begun(tmp_path / "blog"), inside={**inside, "GIT_WORK_TREE": str(other)})


def large_files(tmp_path: Path) -> Kind:
    """Files in Git LFS, which are on the remote; the transfer is the one that git-lfs has for `file://`."""
    subprocess.run(["git", "lfs", "install", "--skip-repo"], check=True, capture_output=True)
    bare = tmp_path / "srv/blog.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch", "feature/x", str(bare))
    root = begun(tmp_path / "first")
    write(root, {".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n", "c.bin": "large\n"})
    git_with_lfs(root, "add", "--all")
    git_with_lfs(root, "commit", "--quiet", "--message", "Large")
    git(root, "remote", "add", "origin", f"file://{bare}")
    git_with_lfs(root, "lfs", "push", "origin", "feature/x")
    git_with_lfs(root, "push", "--quiet", "origin", "feature/x", "main")
    git_with_lfs(tmp_path, "clone", "--quiet", f"file://{bare}", str(tmp_path / "blog"))
    content = {**CONTENT, "c.bin": "large\n", ".gitattributes": "*.bin filter=lfs diff=lfs merge=lfs -text\n"}
    return Kind(tmp_path / "blog", content, remote=bare)


def git_with_lfs(folder: Path, *words: str) -> None:
    subprocess.run(["git", "-C", str(folder), *WHO, *words], check=True, capture_output=True)


Opened = tuple[Path, str]


def working_tree(kind: Kind, stack: ExitStack) -> Opened:
    return kind.root, ""


def reference(kind: Kind, stack: ExitStack) -> Opened:
    git(kind.root, "switch", "--quiet", "--detach")
    shell = Local(environment=kind.environment)
    checkouts = Checkouts(supply_of(kind.root, shell), "blog", shell)
    revision = checkouts.resolve("feature/x")
    return stack.enter_context(checkouts.using("blog-x", revision, print)).folder, revision.commit


def worktree(kind: Kind, stack: ExitStack) -> Opened:
    git(kind.root, "switch", "--quiet", "--detach")
    folder = kind.root.parent / "worktree"
    subprocess.run(["git", "-C", str(kind.root), "worktree", "add", str(folder), "feature/x"], check=True)
    if (kind.root / ".gitmodules").exists():
        git(folder, "submodule", "--quiet", "update", "--init")
    if kind.left_out:
        git(folder, "sparse-checkout", "disable")
    return folder, git(folder, "rev-parse", "HEAD")


def url(kind: Kind, stack: ExitStack) -> Opened:
    address = f"file://{kind.remote or kind.root}@feature/x"
    made = RemoteRepository(parse(address, Path.cwd()), Output(lambda event: None), kind.environment)
    made.refresh()
    revision = made.resolve()
    return stack.enter_context(made.checked_out(revision)), revision.commit


KINDS = (plain, linked_worktree, submodules, sparse, sha256, shallow, partial, in_a_hook, large_files)


@pytest.mark.parametrize("way", [working_tree, reference, worktree, url])
@pytest.mark.parametrize("make", KINDS)
def test_a_stack_gets_the_version_and_the_content_of_its_branch(
    tmp_path: Path, make: Callable[[Path], Kind], way: Callable[[Kind, ExitStack], Opened]
) -> None:
    kind = make(tmp_path)
    head = git(kind.root, "rev-parse", "feature/x")
    with ExitStack() as stack:
        folder, commit = way(kind, stack)
        found = source.read(folder, Local(environment=kind.environment), kind.inside)
        left_out = kind.left_out if way is working_tree else ()
        assert (found.version.text, found.left_out) == (head, left_out)
        assert commit in ("", head)
        names = source.files(found, Local(environment=kind.environment))
        content = {name: text for name, text in kind.content.items() if name not in left_out}
        assert {name: (folder / name).read_text() for name in names if name != ".gitmodules"} == content
