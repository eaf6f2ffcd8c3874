"""Ask git about one repository. If git refuses, that is an error with git's message, never "no git"."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kamal_dev.commands import git
from kamal_dev.errors import GitFailed
from kamal_dev.model import Result, Step
from kamal_dev.shell import Shell
from kamal_dev.shell.local import NOT_FOUND, Local
from kamal_dev.values import dataclass

SUBMODULE = "160000"
USUAL = (b"H 100", b"H 120")  # ordinary entries of `git ls-files -v --stage` begin like this
DISTRUST = "safe.directory"


@dataclass(frozen=True)
class Repository:
    """Hold the paths of a repository, all absolute.

    `staged` is the index that git works with: not `index`, if a hook runs during a commit.
    """

    work: Path
    git_dir: Path
    objects: Path
    index: Path
    shallow: Path
    exclude: Path
    staged: git.Environment = ()


@dataclass(frozen=True)
class IndexEntry:
    """Hold one path of an index; `flag` is the one of `git ls-files -v`."""

    path: str
    flag: str
    mode: str
    hash: str

    @property
    def is_unwatched(self) -> bool:
        """Whether git was told to assume that the file never changes (`--assume-unchanged`)."""
        return self.flag.islower()

    @property
    def is_skipped(self) -> bool:
        """Whether git was told that the file may be missing (`--skip-worktree`), as in a sparse checkout."""
        return self.flag in "Ss"


@dataclass(frozen=True)
class Index:
    """Hold an index as git lists it. Of a hundred thousand entries only a few matter, and only those are parsed."""

    lines: tuple[bytes, ...]

    @property
    def entries(self) -> list[IndexEntry]:
        """All entries."""
        return [_entry(line) for line in self.lines]

    @property
    def unusual(self) -> list[IndexEntry]:
        """Entries other than files and links, and entries whose changes are hidden from git."""
        return [_entry(line) for line in self.lines if not line.startswith(USUAL)]

    @property
    def paths(self) -> frozenset[bytes]:
        """All paths, in the encoding of the file system."""
        return frozenset(line.partition(b"\t")[2] for line in self.lines)

    @property
    def submodules(self) -> dict[str, IndexEntry]:
        """The submodules, by path."""
        return {entry.path: entry for entry in self.unusual if entry.mode == SUBMODULE}


def enclosing(folder: Path) -> Path | None:
    """Return the nearest folder upward with a `.git`; without any up to `/`, there is no git."""
    return next((place for place in (folder, *folder.parents) if os.path.lexists(place / ".git")), None)


def open_repository(folder: Path, shell: Shell, *, index: str = "") -> Repository:
    """Return the repository that contains `folder`. Raises GitFailed if git rejects its `.git`.

    `index` is GIT_INDEX_FILE of our environment, which is used if it belongs to this repository.
    """
    holder = enclosing(folder) or folder
    top, *paths = ask(shell, git.paths(folder), holder).rstrip("\n").split("\n")
    git_dir, objects, own, shallow, exclude = (folder / path for path in paths)
    if holder.resolve() != Path(top).resolve() and (holder / ".git").resolve() != git_dir.resolve():
        raise GitFailed(
            f"{holder / '.git'} is not a repository: git uses {top} for it",
            hint=f"`git -C {holder} status` says more; remove that `.git`, or `git init` there",
        )
    work = Path(top)
    staged = work / index if index else own
    is_ours = staged != own and staged.resolve().is_relative_to(git_dir.resolve()) and staged.exists()
    named = (("GIT_INDEX_FILE", str(staged)),) if is_ours else ()
    return Repository(work, git_dir, objects, staged if is_ours else own, shallow, exclude, named)


def ask(shell: Shell, step: Step, place: Path) -> str:
    """Return git's output. Raises GitFailed with its message."""
    result = shell.run(step)
    if not result:
        raise _failed(result, place)
    return result.output


def listed(shell: Local, step: Step, place: Path) -> Iterator[str]:
    """Yield the entries of a NUL-separated list. Raises GitFailed with git's message."""
    return map(os.fsdecode, raw(shell, step, place))


def raw(shell: Local, step: Step, place: Path) -> list[bytes]:
    """Return a NUL-separated list as bytes, because parsing many irrelevant entries takes time. Raises GitFailed."""
    try:
        # Read as a stream of bytes: the list has no lines, and may exceed the limit of a step's output.
        entries = b"".join(shell.stream(step)).split(b"\0")
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else 1
        raise _failed(Result(step, code, errors=str(error).partition(": ")[2]), place) from error
    return [entry for entry in entries if entry]


def read_index(shell: Local, repository: Repository) -> Index:
    """List the index. Raises GitFailed."""
    return Index(tuple(raw(shell, git.entries(repository.work, repository.staged), repository.work)))


def _entry(line: bytes) -> IndexEntry:
    about, _, path = os.fsdecode(line).partition("\t")
    return IndexEntry(path, *about.split(" ")[:3])


def in_place(repository: Repository, view: git.Aside) -> Repository:
    """Return a repository with another index."""
    return replace(repository, index=view.index, staged=view.environment)


def is_filled(folder: Path) -> bool:
    """Return whether a folder is a repository of its own, like a checked-out submodule."""
    return os.path.lexists(folder / ".git")


def _failed(result: Result, place: Path) -> GitFailed:
    if result.exit_code == NOT_FOUND:
        message = f"git is not installed, and {place} is a git repository"
        return GitFailed(message, hint="install git, or add its folder to PATH")
    lines = [line.strip() for line in result.tail().splitlines() if line.strip()]
    words = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:] or ["it gave no reason"]
    return GitFailed(f"git cannot read {place}: {'; '.join(words)}", hint=_advice(lines, place))


def _advice(lines: list[str], place: Path) -> str:
    trusting = next((line for line in lines if line.startswith("git config") and DISTRUST in line), "")
    if trusting:
        return f"run `{trusting}` if you trust its owner"
    if any("ermission denied" in line for line in lines):
        return "make the file readable, or add it to .gitignore"
    if any(words in line for line in lines for words in ("No space left", "Out of diskspace")):
        return "free disk space on this machine"
    return f"`git -C {place} status` shows it; `git fsck` finds what is damaged"
