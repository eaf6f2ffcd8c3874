"""Read what a clone on a host has to contain: history, index and worktree, including submodules.

The repository is not changed. The worktree is read byte by byte, so that git filters (line endings, LFS) do not
change it on a host. Its objects are written to a store in the project's private folder, which also remembers what
need not be read again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kamal_dev.commands import git, origin
from kamal_dev.errors import DevError, GitFailed
from kamal_dev.project import last_snapshot, store
from kamal_dev.project import source as sources
from kamal_dev.project.locks import Say, held
from kamal_dev.project.repository import IndexEntry, Repository, ask, listed, open_repository, read_index
from kamal_dev.project.source import Source
from kamal_dev.project.withheld import Withheld
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Part:
    """Describe one repository, the project's own or a submodule.

    `work` is its local folder, `aside` the store's view of it. `path` is relative to the project's repository, and
    empty for that one; `folder` is its git folder on a host, relative to the workspace. `head` is empty before the
    first commit, `branch` if HEAD is detached. `index` and `tree` are trees: the staged files, and the files in the
    folder. `names` are `commit reference` lines of the tags and the upstream branch; `boundary` is the end of a
    shallow history; `config` is added to the clone's configuration. `skipped` are staged paths whose difference in
    the folder is not a change; `rules` are the never-sent files, in the form of git's ignore rules. `differing` is how
    the files differ from the commit, for the outermost part: path, and mode and hash in both.
    """

    work: Path
    aside: git.Aside = field(repr=False)
    path: str
    folder: str
    head: str
    branch: str
    index: str
    tree: str
    names: tuple[str, ...] = ()
    boundary: str = ""
    config: str = ""
    skipped: tuple[str, ...] = ()
    rules: str = ""
    differing: tuple[tuple[str, str, str], ...] = field(default=(), repr=False)

    @property
    def record(self) -> tuple[str, ...]:
        """The host's record of this part."""
        labels = (self.names_label, self.boundary_label, self.skipped_label)
        return (self.head, self.branch, self.index, self.tree, *labels)

    @property
    def names_label(self) -> str:
        """A short text that is equal for equal tags and upstream branches."""
        return _label("\n".join(self.names))

    @property
    def boundary_label(self) -> str:
        """A short text that is equal for histories of equal depth."""
        return _label(self.boundary)

    @property
    def skipped_label(self) -> str:
        """A short text that is equal for equal skipped paths."""
        return _label("\0".join(self.skipped))

    @property
    def beside(self) -> git.Aside:
        """The repository together with the objects of the store."""
        return replace(self.aside, git_dir=None)


@dataclass(frozen=True)
class Snapshot:
    """Hold every part, outer before inner; `state` is the state of the source, empty if unknown."""

    parts: tuple[Part, ...]
    state: str = ""

    @cached_property
    def record(self) -> dict[str, Any]:
        """The record that tells a host what it was sent."""
        return {"kind": "git", "state": self.state, "parts": {part.path: part.record for part in self.parts}}

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """Return whether a host's record is of exactly this snapshot."""
        return bool(record.get("parts") == self.record["parts"])


def read(source: Source, shell: Local, *, stores: Path, withheld: Withheld, say: Say) -> Snapshot:
    """Read the repository as it is now; `say` is called with the reason for waiting.

    Raises GitFailed if git cannot read a file, DevError if `stores` cannot be written or is in use for too long.
    """
    try:
        with _locked(stores, say):
            top = open_repository(source.repository, shell, index=source.index)
            outermost = _PartContext(top, stores / "top", "", Path(".git"), withheld, source.contents.keys(), source)
            parts = tuple(_parts(outermost, shell))
    except OSError as error:
        raise DevError(
            f"{error.filename or stores}: cannot be written ({error.strerror})",
            hint=f"{stores} needs room and write access",
        ) from error
    return Snapshot(parts, source.state if _is_of(source, top, parts, shell, withheld) else "")


def _is_of(source: Source, top: Repository, parts: tuple[Part, ...], shell: Local, withheld: Withheld) -> bool:
    """Return whether the parts match `source`: a file may have been saved since it was read.

    Its differences to the commit tell, unless a git filter or a submodule affects them; only then nothing is read
    again.
    """
    own = parts[0]
    if own.head and source.mark == sources.mark(top) and len(parts) == 1 and own.head == source.version.commit:
        changed = {path: new for path, _, new in own.differing if not withheld.hides(path)}
        if changed == {path: new for path, new in source.contents.items() if not withheld.hides(path)}:
            return True
    now = sources.read(source.repository, shell, {"GIT_INDEX_FILE": source.index})
    return now.state == source.state


@contextmanager
def _locked(stores: Path, say: Say) -> Iterator[None]:
    """Keep two runs from using the stores at the same time; a git lock left by a killed run is removed."""
    stores.mkdir(parents=True, exist_ok=True)
    with held(stores / "lock", "reads the source", say=say):
        for lock in stores.glob("*/index.lock"):
            lock.unlink()
        yield


@dataclass(frozen=True)
class _PartContext:
    """Hold where a part is read: its repository, its store, and what `Part` says of `path` and `folder`.

    `changed` are its paths that differ from the commit; `source` is given for the outermost part.
    """

    repository: Repository
    store: Path
    path: str
    folder: Path
    withheld: Withheld
    changed: Set[str]
    source: Source | None = None

    @property
    def view(self) -> git.Aside:
        """The store's view of the repository."""
        return store.aside(self.repository, self.store)

    def below(self, name: str, shell: Local) -> _PartContext:
        """Return the context of a submodule."""
        repository = open_repository(self.repository.work / name, shell)
        path = f"{self.path}/{name}" if self.path else name
        label = hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:12]
        folder = _folder(repository.git_dir, self.repository.git_dir, self.folder, name)
        changed = {one.removeprefix(f"{name}/") for one in self.changed if one.startswith(f"{name}/")}
        return _PartContext(repository, self.store.with_name(label), path, folder, self.withheld.inside, changed)


def _parts(context: _PartContext, shell: Local) -> Iterator[Part]:
    """Yield a part and the parts inside it."""
    root = context.repository.work
    settings = _settings(shell, root)
    store.prepare(context.store, context.repository, settings, context.withheld)
    staged = _staged(context, shell, settings)
    part = _part(context, shell, settings, staged)
    if staged.is_alike and part.head:
        last_snapshot.keep(context.store, part.head, part.differing)
    yield part
    for name in staged.inner:
        yield from _parts(context.below(name, shell), shell)
    store.tidy(shell, root, context.store)


def _part(context: _PartContext, shell: Local, settings: Mapping[str, str], staged: _Staged) -> Part:
    repository, view, root = context.repository, context.view, context.repository.work
    tree = ask(shell, git.write_tree(root, view), root).strip()
    head = shell.run(git.head(root)).output.strip()
    branch = shell.run(git.branch(root)).output.strip().removeprefix("refs/heads/")
    tree_id = _indexed(shell, repository, view, head)
    is_compared = context.source is not None and head
    between = listed(shell, git.between(root, head, tree, view.environment), root) if is_compared else ()
    chosen = origin.of(settings, branch)
    return Part(
        root,
        view,
        context.path,
        context.folder.as_posix(),
        head,
        branch,
        tree_id,
        tree,
        _names(shell, root, head, branch, settings, chosen),
        repository.shallow.read_text(encoding="utf-8") if repository.shallow.exists() else "",
        origin.config(settings, branch, chosen),
        _skipped(context, shell, staged.unusual, tree_id),
        context.withheld.rules,
        tuple(sources.differences_in(iter(between))),
    )


@dataclass(frozen=True)
class _Staged:
    """Hold the checked-out submodules of a staged part, and entries of the repository's own index that are not usual.

    `is_alike` means that git and the store see the same content in all files.
    """

    inner: tuple[str, ...] = ()
    unusual: Sequence[IndexEntry] = ()
    is_alike: bool = True


def _staged(context: _PartContext, shell: Local, settings: Mapping[str, str]) -> _Staged:
    """Stage the files of a part in its store, only those that differ from the last snapshot if that is possible."""
    repository, source, last = context.repository, context.source, last_snapshot.forget(context.store)
    is_plain = source is not None and source.is_plain and source.mark == sources.mark(repository)
    if source and last and is_plain:
        # The commit of the last snapshot, or objects of the store, may have been deleted.
        with suppress(GitFailed):
            changes = last_snapshot.changes(shell, repository, last, source, context.withheld)
            if not store.converts(repository, settings, map(os.fsencode, changes)):
                last_snapshot.restage(shell, repository, context.view, changes, source)
                return _Staged()
    index = read_index(shell, repository)
    store.begin(context.store, repository, index, settings)
    inner = store.stage(shell, repository, context.view, index, context.changed, context.withheld)
    is_alike = is_plain and not store.converts(repository, settings, index.paths)
    return _Staged(inner, index.unusual, is_alike)


def _skipped(context: _PartContext, shell: Local, index: Sequence[IndexEntry], tree_id: str) -> tuple[str, ...]:
    """List the staged paths that git was told not to compare, as in a sparse checkout, or that are never sent."""
    repository, root = context.repository, context.repository.work
    names = {entry.path for entry in index if entry.is_skipped or entry.is_unwatched}
    names |= set(listed(shell, git.paths_of(root, repository.staged, context.withheld.patterns), root))
    # Only the store has the tree of files that are staged and not yet committed.
    held = git.committed(root, tree_id, context.view.environment)
    return tuple(sorted(names.intersection(listed(shell, held, root)))) if names else ()


def _label(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


def _folder(here: Path, outer: Path, folder: Path, name: str) -> Path:
    """Return the git folder of a submodule on a host: like here, if that is inside the outer git folder."""
    return folder / (here.relative_to(outer) if here.is_relative_to(outer) else Path("modules", name))


def _settings(shell: Local, root: Path) -> dict[str, str]:
    entries = (entry.partition("\n") for entry in listed(shell, git.settings(root), root))
    return {name: value for name, _, value in entries}


def _indexed(shell: Local, repository: Repository, view: git.Aside, head: str) -> str:
    """Return the tree of the index; that of HEAD in the middle of a merge, which a tree cannot represent."""
    with tempfile.TemporaryDirectory(prefix="index-", dir=view.objects.parent) as folder:
        copy = Path(folder, "index")
        if repository.index.exists():
            shutil.copy2(repository.index, copy)
        written = shell.run(git.write_tree(repository.work, git.Aside(copy, view.objects, repository.objects)))
    if written:
        return written.output.strip()
    return ask(shell, git.resolve(repository.work, f"{head}^{{tree}}"), repository.work).strip()


def _names(
    shell: Local, root: Path, head: str, branch: str, settings: Mapping[str, str], chosen: str
) -> tuple[str, ...]:
    if not head:
        return ()
    names = tuple(shell.run(git.tags(root)).output.splitlines())
    followed = origin.upstream(settings, branch, chosen)
    commit = shell.run(git.resolve(root, f"refs/remotes/{chosen}/{followed}")).output.strip() if followed else ""
    return (*names, f"{commit} refs/remotes/origin/{followed}") if commit else names
