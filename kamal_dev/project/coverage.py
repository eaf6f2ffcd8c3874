"""Tell what a version says nothing of: files that are there, and may change, while the version stays the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kamal_dev.commands import git
from kamal_dev.project import folders
from kamal_dev.project.repository import SUBMODULE, entries, is_filled, listed, open_repository
from kamal_dev.project.source import Source
from kamal_dev.shell.local import Local


def uncovered(source: Source, shell: Local) -> tuple[Path, ...]:
    """List files and folders, absolute, that the version of `source` does not tell of.

    They are what git ignores (a folder that it ignores as a whole stands for all that is in
    it), git's own folders, what lies in the folder of a submodule that is not checked out,
    and what the commit has but git did not bring here, which need not exist. Nothing outside
    the repository is covered. Raises GitFailed.
    """
    root = source.repository
    if not source.is_git:
        return tuple(sorted(folders.skipped(root)))
    return tuple(sorted({*(root / path for path in source.left_out), *_below(root, shell)}))


def is_covered(path: Path, source: Source, uncovered: tuple[Path, ...]) -> bool:
    """Whether a version tells everything of a file, or of a folder with all that is in it."""
    if not path.is_relative_to(source.repository):
        return False
    return not any(path.is_relative_to(hole) or hole.is_relative_to(path) for hole in uncovered)


def _below(root: Path, shell: Local) -> Iterator[Path]:
    yield root / ".git"
    yield from (root / name.rstrip("/") for name in listed(shell, git.ignored(root), root))
    for name in _repositories(root, shell):
        inner = root / name
        if is_filled(inner):
            yield from _below(inner, shell)
        elif inner.is_dir():
            yield inner


def _repositories(root: Path, shell: Local) -> Iterator[str]:
    """List submodules, and repositories that are in the folder without being one."""
    yield from (entry.path for entry in entries(shell, open_repository(root, shell)) if entry.mode == SUBMODULE)
    yield from (name.rstrip("/") for name in listed(shell, git.untracked(root), root) if name.endswith("/"))
