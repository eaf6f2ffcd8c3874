"""Git command lines that resolve a reference, fetch it, and check it out elsewhere. Builds steps; runs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kamal_dev.commands.git import WATCHFUL, git, listed
from kamal_dev.model import Step

# A hook of the user's own configuration (core.hooksPath) is about the repository that it works in.
WITHOUT_HOOKS = ("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false")
FETCH = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-auto-maintenance",
    "--refmap=",
)


def full_name(root: Path, name: str) -> Step:
    """Ask for the full name of a reference; prints nothing for a commit."""
    return git(root, "rev-parse", "--quiet", "--verify", "--symbolic-full-name", "--end-of-options", name)


def common_folder(root: Path) -> Step:
    """Ask for the git folder that all worktrees of a repository share; it may be relative to `root`."""
    return git(root, "rev-parse", "--git-common-dir")


def names(root: Path, patterns: Iterable[str]) -> Step:
    """List the references below these prefixes as `hash name` lines."""
    return git(root, "for-each-ref", "--format=%(objectname) %(refname)", *patterns)


def remote_names(root: Path, remote: str, references: Iterable[str]) -> Step:
    """List these references of a remote as `hash TAB name` lines."""
    return git(root, "ls-remote", "--quiet", "--end-of-options", remote, *references)


def fetch_into(root: Path, objects: Path, known: Path, remote: str, reference: str) -> Step:
    """Fetch a reference of a remote into a separate object folder; changes nothing in the repository."""
    apart = (("GIT_OBJECT_DIRECTORY", str(objects)), ("GIT_ALTERNATE_OBJECT_DIRECTORIES", listed(known)))
    return git(root, *FETCH, "--end-of-options", remote, reference, environment=apart)


def fetch(root: Path, remote: str, references: Iterable[str]) -> Step:
    """Fetch references, or commits, without a name for them."""
    return git(root, *FETCH, "--end-of-options", remote, *references)


def exists(root: Path, commit: str) -> Step:
    """Check whether a commit and its tree exist."""
    return git(root, "cat-file", "-e", f"{commit}^{{tree}}")


def reset(root: Path) -> Step:
    """Bring index and files to HEAD; what is not in a commit stays."""
    return git(root, *WATCHFUL, *WITHOUT_HOOKS, "reset", "--hard", "--quiet")


def clean(root: Path, *, ignored: bool) -> Step:
    """Delete untracked files, and with `ignored` all others that are in no commit, except the private folder."""
    words = ("-ffdxq", "--exclude=.kamal/local") if ignored else ("-ffdq",)
    return git(root, *WATCHFUL, *WITHOUT_HOOKS, "clean", *words)


def submodule_paths(root: Path) -> Step:
    """List the paths of submodules as `submodule.NAME.path LF PATH NUL`; fails if there is no `.gitmodules`."""
    return git(root, "config", "-z", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.path$")


def settings_in(root: Path, file: Path) -> Step:
    """List the settings in one file, as `name LF value NUL`."""
    return git(root, "config", "-z", "--file", str(file), "--list")
