"""Git command lines. Builds steps; runs nothing."""

from __future__ import annotations

from pathlib import Path

from kamal_dev.model import Step


def git(root: Path, *words: str, environment: tuple[tuple[str, str], ...] = ()) -> Step:
    """Return a git step in `root` that takes no lock and asks no question."""
    quiet = (("GIT_OPTIONAL_LOCKS", "0"), ("GIT_TERMINAL_PROMPT", "0"))
    return Step(("git", "-C", str(root), *words), environment=(*quiet, *environment))


def place(root: Path) -> Step:
    """Ask for the top level, the git folder and the commit; the last is missing before the first commit."""
    return git(root, "rev-parse", "--show-toplevel", "--absolute-git-dir", "HEAD")


def changes(root: Path) -> Step:
    """List what differs from HEAD, one path a line, untracked files included."""
    return git(root, "status", "--porcelain", "--untracked-files=all")


def files(root: Path) -> Step:
    """List what makes up the tree, tracked or not yet, without what git ignores; paths end with NUL."""
    return git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def stage_all(root: Path, *, index: Path, objects: Path, git_dir: Path) -> Step:
    """Stage the whole tree in an index and an object folder of its own, so that the repository stays as it is."""
    return git(root, "add", "--all", environment=_aside(index, objects, git_dir))


def write_tree(root: Path, *, index: Path, objects: Path, git_dir: Path) -> Step:
    """Print the hash of what `stage_all` staged: equal content, equal hash."""
    return git(root, "write-tree", environment=_aside(index, objects, git_dir))


def _aside(index: Path, objects: Path, git_dir: Path) -> tuple[tuple[str, str], ...]:
    return (
        ("GIT_INDEX_FILE", str(index)),
        ("GIT_OBJECT_DIRECTORY", str(objects)),
        ("GIT_ALTERNATE_OBJECT_DIRECTORIES", str(git_dir / "objects")),
    )
