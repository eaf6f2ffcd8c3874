"""Read what a clone on a host must be like: history, index and worktree, those of submodules too.

Nothing in the repository changes. The worktree is read byte by byte, so that no
filter of git (line endings, LFS) makes it another one on a host; its objects go to a
store in the project's private folder, which also remembers what need not be read again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from kamal_dev.commands import git, origin
from kamal_dev.errors import DevError
from kamal_dev.model import Step
from kamal_dev.project.repository import open_repository
from kamal_dev.project.source import Source
from kamal_dev.shell.local import Local

WEEK = 7 * 86_400.0
SUBMODULE = b"160000 "
# Bytes as they are: conversions of line endings and filters would be undone on no host.
ATTRIBUTES = "* -text -filter -ident -working-tree-encoding\n"
# How the file system here is; a store must see it as the repository does.
ALIKE = ("core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode", "core.longpaths")


@dataclass(frozen=True)
class Part:
    """Describe one repository, the project's own or a submodule's.

    `work` is its folder here, `aside` the store's view of it. `path` is relative to the
    project's repository, empty for that one itself; `folder` is that of its git folder on
    a host, relative to the workspace. `head` is empty before the first commit, `branch`
    where HEAD is detached. `index` and `tree` are trees: what is staged, and what is in
    the folder. `names` are `commit reference` lines of tags and of the upstream branch;
    `boundary` is where a shallow history ends; `config` what the clone's own
    configuration gets besides.
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

    @property
    def names_label(self) -> str:
        """A short text that is equal for equal tags and upstream."""
        return _label("\n".join(self.names))

    @property
    def boundary_label(self) -> str:
        """A short text that is equal for histories of equal depth."""
        return _label(self.boundary)

    @property
    def beside(self) -> git.Aside:
        """The repository itself, with the objects of the store."""
        return replace(self.aside, git_dir=None)


@dataclass(frozen=True)
class Snapshot:
    """Hold every part, outer before inner; `state` is that of the source, empty where it says too little."""

    parts: tuple[Part, ...]
    withheld: tuple[str, ...]
    state: str = ""

    @cached_property
    def record(self) -> dict[str, Any]:
        """What a host keeps to tell what it was sent."""
        parts = {
            part.path: (part.head, part.branch, part.index, part.tree, part.names_label, part.boundary_label)
            for part in self.parts
        }
        return {"kind": "git", "state": self.state, "parts": parts}

    @property
    def rules(self) -> str:
        """What is withheld, as git's ignore rules."""
        return "".join(f"/{_escaped(path)}\n" for path in self.withheld)

    def is_in(self, record: Mapping[str, Any]) -> bool:
        """Whether a host's record says that it was sent this very snapshot."""
        return bool(record.get("parts") == self.record["parts"])


def read(source: Source, shell: Local, *, store: Path, withheld: tuple[str, ...]) -> Snapshot:
    """Read the repository as it is now. `withheld` are paths in it that never travel.

    Raises DevError where git cannot read a file, or `store` cannot be written.
    """
    try:
        with _locked(store):
            parts = tuple(_parts(source.repository, "", Path(".git"), shell, store, withheld))
    except OSError as error:
        raise DevError(
            f"{error.filename or store}: cannot be written ({error.strerror})",
            hint=f"{store} needs room and write access",
        ) from error
    return Snapshot(parts, withheld, source.state)


@contextmanager
def _locked(store: Path) -> Iterator[None]:
    """Keep two runs from using the store at once; a lock of git that an interrupted one left is no longer one."""
    store.mkdir(parents=True, exist_ok=True)
    with (store / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in store.glob("*/index.lock"):
            left.unlink()
        yield


def _parts(root: Path, path: str, folder: Path, shell: Local, store: Path, withheld: tuple[str, ...]) -> Iterator[Part]:
    found = open_repository(root, shell)
    settings = _settings(shell, root)
    own = store / (hashlib.sha256(path.encode()).hexdigest()[:12] if path else "top")
    _prepare(own, settings, found.objects, found.exclude, withheld if not path else ())
    aside = git.Aside(own / "index", own / "objects", found.objects, own)
    _track(shell, root, aside, withheld if not path else ())
    tree = _staged(shell, root, aside)
    head = shell.run(git.head(root)).output.strip()
    branch = shell.run(git.branch(root)).output.strip().removeprefix("refs/heads/")
    seen = _indexed(shell, root, found.index, aside, head)
    chosen = origin.of(settings, branch)
    names = _names(shell, root, head, branch, settings, chosen)
    boundary = found.shallow.read_text() if found.shallow.exists() else ""
    config = origin.config(settings, branch, chosen)
    yield Part(root, aside, path, folder.as_posix(), head, branch, seen, tree, names, boundary, config)
    for name in _submodules(shell, root, aside):
        inner = f"{path}/{name}" if path else name
        at = _folder(shell, root / name, found.git_dir, folder, name)
        yield from _parts(root / name, inner, at, shell, store, ())
    _tidy(shell, root, own)


def _label(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _tidy(shell: Local, root: Path, store: Path) -> None:
    """Forget, once a week, what was in a snapshot weeks ago."""
    mark = store / "pruned"
    if mark.exists() and time.time() - mark.stat().st_mtime < WEEK:
        return
    if mark.exists():
        shell.run(git.prune(root, store))
    mark.touch()


def _folder(shell: Local, work: Path, outer: Path, folder: Path, name: str) -> Path:
    """Return where the git folder of a submodule is on a host: where it is here, if that is inside its outer one's."""
    here = open_repository(work, shell).git_dir
    return folder / (here.relative_to(outer) if here.is_relative_to(outer) else Path("modules", name))


def _settings(shell: Local, root: Path) -> dict[str, str]:
    entries = b"".join(shell.stream(git.settings(root))).decode(errors="replace").split("\0")
    return {name: value for name, _, value in (entry.partition("\n") for entry in entries if entry)}


def _prepare(store: Path, settings: Mapping[str, str], objects: Path, exclude: Path, withheld: tuple[str, ...]) -> None:
    """Make, or bring up to date, a git folder that has an index, objects and attributes of its own."""
    for name in ("objects/info", "refs", "info"):
        (store / name).mkdir(parents=True, exist_ok=True)
    alike = "".join(f"\t{key.partition('.')[2]} = {settings[key]}\n" for key in ALIKE if settings.get(key))
    rules = exclude.read_text(errors="surrogateescape") if exclude.is_file() else ""
    hidden = "".join(f"/{_escaped(path)}\n" for path in withheld)
    texts = {
        "HEAD": "ref: refs/heads/none\n",
        "config": f"[core]\n\trepositoryformatversion = 0\n\tbare = false\n{alike}",
        "objects/info/alternates": f"{objects}\n",
        "info/attributes": ATTRIBUTES,
        "info/exclude": f"{rules}\n{hidden}",
    }
    for name, text in texts.items():
        (store / name).write_text(text, errors="surrogateescape")


def _escaped(path: str) -> str:
    """Return a path as a pattern that means it alone."""
    return "".join(f"\\{letter}" if letter in "*?[\\ #!" else letter for letter in path)


def _track(shell: Local, root: Path, aside: git.Aside, withheld: tuple[str, ...]) -> None:
    """Let the store track the same ignored files as the repository does, and none besides."""
    tracked = {name for name in _listed(shell, git.tracked_though_ignored(root)) if not _is_in(name, withheld)}
    stale = set(_listed(shell, git.tracked_though_ignored(root, aside))) - tracked
    for names, words in ((stale, ("--force-remove",)), (tracked, ("--add", "--remove"))):
        if names:
            shell.run(git.update_index(root, aside, words, map(os.fsencode, names)))


def _listed(shell: Local, step: Step) -> Iterator[str]:
    return (os.fsdecode(name) for name in b"".join(shell.stream(step)).split(b"\0") if name)


def _is_in(name: str, folders: tuple[str, ...]) -> bool:
    return any(Path(name).is_relative_to(folder) for folder in folders)


def _staged(shell: Local, root: Path, aside: git.Aside) -> str:
    added = shell.run(git.stage_all(root, aside))
    if not added:
        reason = (added.tail() or "git add failed").splitlines()[-1]
        is_full = any(words in reason for words in ("No space left", "Out of diskspace"))
        raise DevError(
            f"the source cannot be read: {reason}",
            hint=f"make room where {aside.objects.parent} is"
            if is_full
            else "make the file readable, or let git ignore it",
        )
    return shell.run(git.write_tree(root, aside)).output.strip()


def _indexed(shell: Local, root: Path, index: Path, aside: git.Aside, head: str) -> str:
    """Return the tree of what is staged; that of HEAD in the middle of a merge, which no tree can tell."""
    with tempfile.TemporaryDirectory(prefix="index-", dir=aside.objects.parent) as folder:
        copy = Path(folder, "index")
        if index.exists():
            shutil.copy2(index, copy)
        written = shell.run(git.write_tree(root, git.Aside(copy, aside.objects, aside.known)))
    return (written if written else shell.run(git.resolve(root, f"{head}^{{tree}}"))).output.strip()


def _names(
    shell: Local, root: Path, head: str, branch: str, settings: Mapping[str, str], chosen: str
) -> tuple[str, ...]:
    if not head:
        return ()
    names = tuple(shell.run(git.tags(root)).output.splitlines())
    followed = origin.upstream(settings, branch, chosen)
    commit = shell.run(git.resolve(root, f"refs/remotes/{chosen}/{followed}")).output.strip() if followed else ""
    return (*names, f"{commit} refs/remotes/origin/{followed}") if commit else names


def _submodules(shell: Local, root: Path, aside: git.Aside) -> tuple[str, ...]:
    """List the folders below that are repositories of their own and have been filled."""
    listed = b"".join(shell.stream(git.links(root, aside))).split(b"\0")
    names = (os.fsdecode(entry.partition(b"\t")[2]) for entry in listed if entry.startswith(SUBMODULE))
    return tuple(name for name in names if (root / name / ".git").exists())
