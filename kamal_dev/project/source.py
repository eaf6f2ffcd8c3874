"""Find out which state of the source this is. Changes nothing in the repository."""

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
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

SUFFIX = 12
TRIES = 3
TEMPLATES = (".example", ".sample", ".template")
FIELDS = {"1": 8, "u": 10, "?": 1}  # how many stand before the path in an entry of `git status`
HEADS = ("# branch.oid ", "# branch.head ")
UNBORN, UNREADABLE = "(initial)", "(unknown)"


@dataclass(frozen=True)
class Source:
    """Describe where the source is and its version.

    `repository` is the git top level, or the folder itself outside git. `changed` lists
    uncommitted paths, relative to `repository`, those in submodules too; `contents` has
    the hash of each, outside git of every file. `left_out` are paths that the commit has
    and git did not bring here: a sparse checkout, a submodule that is not checked out. `mark`
    is another one after anything was staged, or the branch was changed.
    `state` is equal for equal content, branch and staging; empty outside git. `index` is
    what git works on in one of its hooks, empty for its own.
    """

    repository: Path
    version: Version
    changed: tuple[str, ...] = ()
    state: str = ""
    contents: Mapping[str, str] = field(default_factory=dict, repr=False)
    left_out: tuple[str, ...] = ()
    index: str = ""
    mark: str = ""

    @property
    def is_git(self) -> bool:
        """Whether git knows of it."""
        return bool(self.state)


@dataclass(frozen=True)
class _RepositoryState:
    """Hold the git state of one repository and its submodules; `text` identifies the content of all of them."""

    text: str
    commit: str
    marks: tuple[str, ...]
    contents: Mapping[str, str]
    left_out: tuple[str, ...]
    is_clean: bool

    def below(self, name: str) -> _RepositoryState:
        """Return it with its paths as they are called from outside."""
        inner = {f"{name}/{path}": value for path, value in self.contents.items()}
        return replace(self, contents=inner, left_out=tuple(f"{name}/{path}" for path in self.left_out))


def read(root: Path, shell: Local, environment: Mapping[str, str] | None = None) -> Source:
    """Read the version of the tree at `root`.

    A clean tree is its commit; a dirty one adds a hash of the whole content, so
    that the same tree always has the same tag. Outside git, which is where no folder
    upward has a `.git`, it is the time of the newest file with such a hash. Raises
    GitFailed where git refuses.
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
    )


def mark(repository: Repository) -> str:
    """Return what changes whenever something is staged, or HEAD names another branch."""
    head = (repository.git_dir / "HEAD").read_text(encoding="utf-8", errors="replace")
    if not repository.index.exists():
        return head
    index = repository.index.stat()
    return f"{head}{index.st_ino} {index.st_size} {index.st_mtime_ns}"


def files(source: Source, shell: Local) -> tuple[str, ...]:
    """List the files of the tree, relative to the repository; what git ignores is none of them."""
    root = source.repository
    names = _files(root, shell) if source.is_git else (os.path.relpath(path, root) for path in folders.walk(root))
    return tuple(sorted({name for name in names if os.path.lexists(root / name)}))


def committed(source: Source, shell: Local, withheld: Withheld) -> tuple[str, ...]:
    """List what the commit has, or the next one gets, of the files that never travel. Raises GitFailed.

    A template of the secrets file (`.kamal/secrets.example`) is there to be committed.
    """
    root = source.repository
    if not source.is_git:
        return ()
    step = git.paths_of(root, patterns=withheld.patterns, tree=source.version.commit)
    return tuple(sorted({name for name in listed(shell, step, root) if not name.endswith(TEMPLATES)}))


def differences(before: Source, after: Source, shell: Local) -> tuple[str, ...]:
    """Name the files whose content is not the same in two states of one source."""
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
    """Look at a repository, then at its submodules: settings can hide from git what is in them."""
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
    # Flags and staging that hide nothing change nothing.
    is_clean = are_clean and not contents
    own = _RepositoryState(text, commit, (commit, branch, *changes), contents, tuple(sorted(missing | empty)), is_clean)
    return _with_submodules(own, inner)


def _status(repository: Repository, shell: Local) -> tuple[str, str, list[str]]:
    """Return the commit, empty before the first one, the branch and what differs from them."""
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
    """Hash the tree as `git add --all` sees it, in an index aside, and say what differs from the commit.

    `changes` are the entries of `git status`: no other file is looked at again. Nothing hides in
    that index: files that git was told not to look at are `shown`.
    """
    with temporary.folder("tree") as folder:
        index, objects = Path(folder, "index"), Path(folder, "objects")
        objects.mkdir()
        if repository.index.exists():
            # The copy carries git's stat cache, so that only changed files are read.
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
    """Return the path in an entry of `git status`; that of a folder ends with a slash there."""
    before = FIELDS[line[0]]
    return line.split(" ", before)[before].rstrip("/")


def _stage(repository: Repository, aside: git.Aside, names: Iterable[str], shell: Local) -> None:
    """Stage these files; where one vanished meanwhile, git fails, and knows better a moment later."""
    step = git.stage(repository.work, aside, map(os.fsencode, sorted(names)))
    if not any(shell.run(step) for _ in range(TRIES - 1)):
        ask(shell, step, repository.work)


def differences_in(words: Iterator[str]) -> Iterator[tuple[str, str, str]]:
    """Read raw entries of a diff: path, and what was and is there, as mode and hash."""
    for about in words:
        old_mode, mode, old, new, _ = about.removeprefix(":").split(" ")
        yield next(words), f"{old_mode} {old}", f"{mode} {new}"


def _files(root: Path, shell: Local) -> Iterator[str]:
    """List what a repository knows of or would take, and what its submodules do."""
    for name in listed(shell, git.files(root), root):
        path = root / name
        if path.is_dir() and not path.is_symlink() and is_filled(path):
            yield from (f"{name.rstrip('/')}/{inner}" for inner in _files(path, shell))
        else:
            yield name


def _hash(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode(errors="surrogateescape")).hexdigest()
