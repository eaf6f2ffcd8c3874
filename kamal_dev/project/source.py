"""Ask git which state of the source this is. Changes nothing in the repository."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from kamal_dev.commands import git
from kamal_dev.model import Version
from kamal_dev.project import temporary
from kamal_dev.shell import Shell
from kamal_dev.shell.local import Local

SUFFIX = 12
SKIPPED = {".git", ".kamal", "node_modules", ".venv"}


@dataclass(frozen=True)
class Source:
    """Say where the source is and which version it stands for.

    `repository` is the git top level, or the folder itself outside git;
    `changed` lists uncommitted paths, relative to `repository`. `state` is equal for
    equal content, branch and staging; empty outside git.
    """

    repository: Path
    version: Version
    changed: tuple[str, ...] = ()
    state: str = ""

    @property
    def is_git(self) -> bool:
        """Whether git knows of it."""
        return bool(self.state)


def read(root: Path, shell: Shell) -> Source:
    """Read the version of the tree at `root`.

    A clean tree is its commit; a dirty one adds a hash of the whole content, so
    that the same tree always has the same tag. Outside git it is the time of the
    newest file, for the same reason.
    """
    place = shell.run(git.place(root))
    words = place.output.splitlines()
    if not words or not words[0].startswith("/"):
        return Source(root, Version(_newest(root)))
    repository, git_dir = Path(words[0]), Path(words[1])
    commit = words[2] if place else ""
    branch = words[3] if place else ""
    status = shell.run(git.changes(repository)).output
    changes = tuple(line[3:] for line in status.splitlines())
    if commit and not changes:
        return Source(repository, Version(commit, commit), state=_state(commit, branch, status))
    content = _content(repository, git_dir, shell)
    text = f"{commit}-dirty-{content}" if commit else f"uncommitted-{content}"
    return Source(repository, Version(text, commit, is_dirty=True), changes, _state(text, branch, status))


def files(source: Source, shell: Shell) -> tuple[str, ...]:
    """List the files of the tree, relative to the repository; what git ignores is none of them."""
    root = source.repository
    names: Iterable[str] = (os.path.relpath(path, root) for path in _walk(root))
    if (root / ".git").exists() and isinstance(shell, Local):
        # As a stream of bytes: the list has no lines, and may be longer than what is kept of an output.
        names = map(os.fsdecode, b"".join(shell.stream(git.files(root))).split(b"\0"))
    return tuple(sorted({name for name in names if name and os.path.lexists(root / name)}))


def _content(repository: Path, git_dir: Path, shell: Shell) -> str:
    """Hash the tree as `git add --all` sees it, in an index aside."""
    with temporary.folder("tree") as folder:
        index, objects = Path(folder, "index"), Path(folder, "objects")
        objects.mkdir()
        if (git_dir / "index").exists():
            # The copy carries git's stat cache, so that only changed files are read.
            shutil.copy2(git_dir / "index", index)
        aside = git.Aside(index, objects, git_dir / "objects")
        shell.run(git.stage_all(repository, aside, to_keep=False))
        return shell.run(git.write_tree(repository, aside)).output.strip()[:SUFFIX]


def _state(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode()).hexdigest()[:16]


def _newest(root: Path) -> str:
    latest = max((os.lstat(path).st_mtime for path in _walk(root)), default=0.0)
    return datetime.fromtimestamp(latest, timezone.utc).strftime("%Y%m%d%H%M%S")


def _walk(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED]
        yield from (os.path.join(folder, name) for name in names)  # noqa: PTH118
