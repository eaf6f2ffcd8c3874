"""Determine the state and the version of the source. Changes nothing in the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path

from kamal_dev.commands import git
from kamal_dev.model import Version
from kamal_dev.project import folders, temporary
from kamal_dev.project.repository import (
    SUBMODULE,
    IndexEntry,
    Repository,
    ask,
    enclosing,
    in_place,
    is_filled,
    listed,
    open_repository,
    read_index,
)
from kamal_dev.project.withheld import Withheld
from kamal_dev.shell import Shell
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

SUFFIX = 12
TRIES = 3
TEMPLATES = (".example", ".sample", ".template")
FIELDS = {"1": 8, "u": 10, "?": 1}  # number of fields before the path in an entry of `git status`
HEADS = ("# branch.oid ", "# branch.head ")
UNBORN, UNREADABLE = "(initial)", "(unknown)"


@dataclass(frozen=True)
class Source:
    """Describe the location and the version of the source.

    `repository` is the git top level, or the folder itself outside git. `changed` lists uncommitted paths, including
    those in submodules, relative to `repository`; `contents` has the hash of each (outside git, of every file).
    `left_out` are committed paths that are not checked out: a sparse checkout, a missing submodule. `mark` changes
    whenever something is staged or the branch is switched. `state` is equal for equal content, branch and index;
    empty outside git. `index` is the index that git uses in one of its hooks, empty for its own. `is_plain` means that
    git compares every file, and that there is no other repository in it.
    """

    repository: Path
    version: Version
    changed: tuple[str, ...] = ()
    state: str = ""
    contents: Mapping[str, str] = field(default_factory=dict, repr=False)
    left_out: tuple[str, ...] = ()
    index: str = ""
    mark: str = ""
    is_plain: bool = False

    @property
    def is_git(self) -> bool:
        """Whether it is in git."""
        return bool(self.state)


@dataclass(frozen=True)
class _RepositoryState:
    """Hold the git state of one repository and its submodules; `text` identifies all of their content."""

    text: str
    commit: str
    marks: tuple[str, ...]
    contents: Mapping[str, str]
    left_out: tuple[str, ...]
    is_clean: bool
    is_plain: bool

    def below(self, name: str) -> _RepositoryState:
        """Return the state with paths relative to the outer repository."""
        inner = {f"{name}/{path}": value for path, value in self.contents.items()}
        return replace(self, contents=inner, left_out=tuple(f"{name}/{path}" for path in self.left_out))


def read(root: Path, shell: Local, environment: Mapping[str, str] | None = None) -> Source:
    """Read the version of the tree at `root`.

    The version of a clean tree is its commit; for a dirty tree a hash of the whole content is added, so that the same
    tree always has the same tag. Outside git (no folder upward has a `.git`), it is the time of the newest file and
    such a hash. Raises GitFailed if git refuses.
    """
    if enclosing(root) is None:
        text, contents = folders.version(root)
        return Source(root, Version(text), contents=contents)
    repository = open_repository(root, shell, index=(environment or {}).get("GIT_INDEX_FILE", ""))
    before = mark(repository)
    state = _look(repository, shell)
    text = state.text if state.commit else f"uncommitted-{state.text}"
    if state.commit and not state.is_clean:
        text = f"{state.commit}-dirty-{state.text}"
    return Source(
        repository.work,
        Version(text, state.commit, is_dirty=not state.is_clean),
        tuple(sorted(state.contents)),
        _hash(text, *state.marks, *state.left_out)[:16],
        state.contents,
        state.left_out,
        str(repository.index) if repository.staged else "",
        before,
        state.is_plain,
    )


def mark(repository: Repository) -> str:
    """Return a value that changes whenever something is staged, or HEAD moves to another branch."""
    head = (repository.git_dir / "HEAD").read_text(encoding="utf-8", errors="replace")
    if not repository.index.exists():
        return head
    index = repository.index.stat()
    return f"{head}{index.st_ino} {index.st_size} {index.st_mtime_ns}"


def files(source: Source, shell: Local) -> tuple[str, ...]:
    """List the files of the tree, relative to the repository, without ignored ones."""
    root = source.repository
    names = _files(root, shell) if source.is_git else (os.path.relpath(path, root) for path in folders.walk(root))
    return tuple(sorted({name for name in names if os.path.lexists(root / name)}))


def includes(source: Source, shell: Shell, path: Path) -> bool:
    """Return whether a new file is part of the source: in its folder, and not ignored by git."""
    path = path.resolve()
    if not path.is_relative_to(source.repository.resolve()):
        return False
    return not source.is_git or bool(shell.run(git.untracked(source.repository, path)).output)


def committed(source: Source, shell: Local, withheld: Withheld) -> tuple[str, ...]:
    """List the never-sent files that are committed, or will be with the next commit. Raises GitFailed.

    A template of the secrets file (`.kamal/secrets.example`) may be committed.
    """
    root = source.repository
    if not source.is_git:
        return ()
    step = git.paths_of(root, patterns=withheld.patterns, tree=source.version.commit)
    return tuple(sorted({name for name in listed(shell, step, root) if not name.endswith(TEMPLATES)}))


def differences(before: Source, after: Source, shell: Local) -> tuple[str, ...]:
    """Return the files whose content differs between two states of one source."""
    base: dict[str, tuple[str, str]] = {}
    one, other = before.version.commit, after.version.commit
    if one and other and one != other:
        between = listed(shell, git.between(after.repository, one, other), after.repository)
        base = {path: (old, new) for path, old, new in differences_in(between)}
    named = {*before.contents, *after.contents, *base}
    then = {path: before.contents.get(path, base.get(path, ("", ""))[0]) for path in named}
    now = {path: after.contents.get(path, base.get(path, ("", ""))[1]) for path in named}
    brought = set(before.left_out) ^ set(after.left_out)
    return tuple(sorted({path for path in named if then[path] != now[path]} | brought))


def _look(repository: Repository, shell: Local) -> _RepositoryState:
    """Inspect a repository, then its submodules: settings can hide their changes from git."""
    commit, branch, changes = _status(repository, shell)
    index = read_index(shell, repository).unusual
    hiding = [entry for entry in index if entry.flag != "H"]
    missing = {entry.path for entry in hiding if entry.is_skipped and not _is_there(repository, entry)}
    shown = [entry for entry in hiding if entry.path not in missing]
    links = {entry.path for entry in index if entry.mode == SUBMODULE and entry.path not in missing}
    links |= {line[2:].rstrip("/") for line in changes if line.startswith("? ") and line.endswith("/")}
    filled = [name for name in sorted(links) if is_filled(repository.work / name)]
    inner = {name: _look(open_repository(repository.work / name, shell), shell).below(name) for name in filled}
    empty = {name for name in links.difference(filled) if (repository.work / name).is_dir()}
    are_clean = bool(commit) and all(sub.is_clean for sub in inner.values())
    is_alike = are_clean and not changes and not shown
    text, contents = (commit, {}) if is_alike else _content(repository, commit, changes, shown, shell)
    # Flags and staged files that hide nothing do not matter.
    is_clean = are_clean and not contents
    left_out = tuple(sorted(missing | empty))
    is_plain = not index and not links
    own = _RepositoryState(text, commit, (commit, branch, *changes), contents, left_out, is_clean, is_plain)
    return _with_submodules(own, inner)


def _status(repository: Repository, shell: Local) -> tuple[str, str, list[str]]:
    """Return the commit (empty before the first one), the branch, and the changes."""
    lines = list(listed(shell, git.status(repository.work, repository.staged), repository.work))
    commit, branch = (line[len(name) :] for name in HEADS for line in lines if line.startswith(name))
    if branch == UNREADABLE:
        ask(shell, git.git(repository.work, "log", "-1"), repository.work)
    return commit.replace(UNBORN, ""), branch, [line for line in lines if not line.startswith("# ")]


def _with_submodules(own: _RepositoryState, inner: Mapping[str, _RepositoryState]) -> _RepositoryState:
    text, contents, marks, left_out = own.text, dict(own.contents), list(own.marks), list(own.left_out)
    for name, sub in inner.items():
        text = text if sub.is_clean else _hash(text, sub.commit, sub.text)[:SUFFIX]
        contents |= sub.contents
        marks += (name, *sub.marks)
        left_out += sub.left_out
    text = own.commit if own.is_clean else text
    return replace(own, text=text, contents=contents, marks=tuple(marks), left_out=tuple(left_out))


def _is_there(repository: Repository, entry: IndexEntry) -> bool:
    return os.path.lexists(repository.work / entry.path)


def _content(
    repository: Repository, commit: str, changes: list[str], shown: list[IndexEntry], shell: Local
) -> tuple[str, dict[str, str]]:
    """Hash the tree like `git add --all` in a separate index, and return how it differs from the commit.

    `changes` are the entries of `git status`: only these files are read again. Nothing is hidden in that index: files
    that git was told not to compare are in `shown`.
    """
    with temporary.folder("tree") as folder:
        index, objects = Path(folder, "index"), Path(folder, "objects")
        objects.mkdir()
        if repository.index.exists():
            # The copy contains git's stat cache, so that only changed files are read.
            shutil.copy2(repository.index, index)
        aside = git.Aside(index, objects, repository.objects)
        for words, names in (
            ("--no-assume-unchanged", [entry.path for entry in shown if entry.is_unwatched]),
            ("--no-skip-worktree", [entry.path for entry in shown if entry.is_skipped]),
        ):
            if names:
                ask(shell, git.update_index(repository.work, aside, (words,), map(os.fsencode, names)), repository.work)
        _stage(repository, aside, {*map(_changed, changes), *(entry.path for entry in shown)}, shell)
        text = ask(shell, git.write_tree(repository.work, aside), repository.work).strip()[:SUFFIX]
        if commit:
            differing = differences_in(listed(shell, git.differing(repository.work, aside, commit), repository.work))
            return text, {path: new for path, _, new in differing}
        held = read_index(shell, in_place(repository, aside)).entries
        return text, {entry.path: f"{entry.mode} {entry.hash}" for entry in held}


def _changed(line: str) -> str:
    """Return the path in an entry of `git status`; the path of a folder ends with a slash."""
    before = FIELDS[line[0]]
    return line.split(" ", before)[before].rstrip("/")


def _stage(repository: Repository, aside: git.Aside, names: Iterable[str], shell: Local) -> None:
    """Stage these files; if one has just been deleted, git fails, and a retry succeeds."""
    step = git.stage(repository.work, aside, map(os.fsencode, sorted(names)))
    if not any(shell.run(step) for _ in range(TRIES - 1)):
        ask(shell, step, repository.work)


def differences_in(words: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """Read raw entries of a diff: path, and the old and new value, each as mode and hash."""
    for about in words:
        old_mode, mode, old, new, _ = about.removeprefix(":").split(" ")
        yield next(words), f"{old_mode} {old}", f"{mode} {new}"


def _files(root: Path, shell: Local) -> Iterator[str]:
    """List the files that a repository tracks or would add, including its submodules."""
    for name in listed(shell, git.files(root), root):
        path = root / name
        if path.is_dir() and not path.is_symlink() and is_filled(path):
            yield from (f"{name.rstrip('/')}/{inner}" for inner in _files(path, shell))
        else:
            yield name


def _hash(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()
