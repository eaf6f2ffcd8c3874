"""Stage the files of a repository in a separate git folder: the repository is not changed, and no filter runs.

The store is kept between runs, and remembers what need not be read again. Files that are never sent are not in it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping, Set
from pathlib import Path

from kamal_dev.commands import git
from kamal_dev.project.repository import (
    Index,
    Repository,
    ask,
    in_place,
    is_filled,
    listed,
    raw,
    read_index,
)
from kamal_dev.project.withheld import Withheld
from kamal_dev.shell.local import Local

WEEK = 7 * 86_400.0
# Files are stored byte by byte: hosts would not undo conversions of line endings or filters.
ATTRIBUTES = "* -text -filter -ident -working-tree-encoding\n"
# Properties of the local file system, which must be the same for the store and the repository.
ALIKE = ("core.filemode", "core.symlinks", "core.ignorecase", "core.precomposeunicode", "core.longpaths")
FORMAT = "extensions.objectformat"


def aside(repository: Repository, store: Path) -> git.Aside:
    """Return a store's view of a repository."""
    return git.Aside(store / "index", store / "objects", repository.objects, store)


def prepare(store: Path, repository: Repository, settings: Mapping[str, str], withheld: Withheld) -> None:
    """Create or update a git folder with its own index, objects and attributes."""
    for name in ("objects/info", "refs", "info"):
        (store / name).mkdir(parents=True, exist_ok=True)
    alike = "".join(f"\t{key.partition('.')[2]} = {settings[key]}\n" for key in ALIKE if settings.get(key))
    rules = (
        repository.exclude.read_text(encoding="utf-8", errors="surrogateescape") if repository.exclude.is_file() else ""
    )
    hashes = settings.get(FORMAT, "")
    extensions = f"[extensions]\n\tobjectformat = {hashes}\n" if hashes else ""
    texts = {
        "HEAD": "ref: refs/heads/none\n",
        "config": f"[core]\n\trepositoryformatversion = {int(bool(hashes))}\n\tbare = false\n{alike}{extensions}",
        "objects/info/alternates": f"{git.listed(repository.objects)}\n",
        "info/attributes": ATTRIBUTES,
        "info/exclude": f"{rules}\n{withheld.rules}",
    }
    for name, text in texts.items():
        (store / name).write_text(text, encoding="utf-8", errors="surrogateescape")


def begin(store: Path, repository: Repository, index: Index, settings: Mapping[str, str]) -> None:
    """Start a new store with the repository's own index, which saves reading every file.

    Only if both see the same content: no git attribute may convert files, and nothing may hide changes.
    """
    path = store / "index"
    is_plain = not {entry.path for entry in index.unusual} - index.submodules.keys()
    if repository.index.exists() and not path.exists() and is_plain and not converts(repository, settings, index.paths):
        # Keep the time of the original, from which git can tell that a file may have changed later.
        shutil.copy2(repository.index, path)


def converts(repository: Repository, settings: Mapping[str, str], paths: Iterable[bytes]) -> bool:
    """Return whether git may convert the content of files, or keeps half of its index elsewhere."""
    home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")  # noqa: PTH111
    files = (Path("/etc/gitattributes"), Path(home, "git/attributes"), repository.exclude.with_name("attributes"))
    asked = ("core.attributesfile", "core.splitindex", "index.sparse", "core.sparsecheckout")
    is_named = any(settings.get(key, "false") != "false" for key in ("core.autocrlf", *asked))
    tracked = any(path.rpartition(b"/")[2] == b".gitattributes" for path in paths)
    return is_named or tracked or any(file.exists() for file in files)


def stage(
    shell: Local, repository: Repository, view: git.Aside, index: Index, new: Set[str], withheld: Withheld
) -> tuple[str, ...]:
    """Stage the current content of the folder, and return the checked-out submodules. Raises GitFailed.

    A submodule in `index` (the repository's own) counts as present even if it is not checked out. `new` are untracked
    paths that the repository would add.
    """
    root = repository.work
    held = read_index(shell, in_place(repository, view))
    _track(shell, repository, view, index.paths, held.paths, new, withheld)
    empty = {path: entry for path, entry in index.submodules.items() if _is_empty(root / path)}
    stale = {path for path in held.submodules.keys() - empty.keys() if not is_filled(root / path)}
    _change(shell, root, view, ("--force-remove",), stale)
    if empty:
        lines = (f"{entry.mode} {entry.hash} 0\t{path}" for path, entry in empty.items())
        ask(shell, git.update_index(root, view, (), map(os.fsencode, lines), given="--index-info"), root)
    ask(shell, git.stage_all(root, view), root)
    # The repository's own `.gitignore` may say more than the rules of the store.
    hidden = listed(shell, git.paths_of(root, view.environment, withheld.patterns), root)
    _change(shell, root, view, ("--force-remove",), hidden)
    staged = read_index(shell, in_place(repository, view)).submodules
    return tuple(path for path in staged if is_filled(root / path))


def tidy(shell: Local, root: Path, store: Path) -> None:
    """Delete, once a week, objects that have not been in a snapshot for weeks."""
    mark = store / "pruned"
    if mark.exists() and time.time() - mark.stat().st_mtime < WEEK:
        return
    if mark.exists():
        shell.run(git.prune(root, store))
    mark.touch()


def _track(
    shell: Local,
    repository: Repository,
    view: git.Aside,
    known: Set[bytes],
    held: Set[bytes],
    new: Set[str],
    withheld: Withheld,
) -> None:
    """Make the store, which contains `held`, track the same ignored files as the repository, and no others.

    git is only asked which files are ignored if the two track different files.
    """
    root = repository.work
    if not held - known <= set(map(os.fsencode, new)):
        ignored = set(raw(shell, git.tracked_though_ignored(root, view.environment), root))
        _change(shell, root, view, ("--force-remove",), map(os.fsdecode, ignored - known))
    if not known <= held:
        ignored = set(raw(shell, git.tracked_though_ignored(root, repository.staged), root))
        names = (name for name in map(os.fsdecode, ignored - held) if not withheld.hides(name))
        _change(shell, root, view, ("--add", "--remove"), names)


def _change(shell: Local, root: Path, view: git.Aside, words: Iterable[str], names: Iterable[str]) -> None:
    if names := list(names):
        ask(shell, git.update_index(root, view, words, map(os.fsencode, names)), root)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not is_filled(folder)
