"""Git command lines for the copy of a repository that only a URL names. Builds steps; runs nothing."""

from __future__ import annotations

from pathlib import Path

from kamal_dev.commands.git import Environment, git
from kamal_dev.model import Step

MIRRORED = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
FETCH = (
    *("fetch", "--quiet", "--prune", "--force", "--no-tags", "--no-write-fetch-head"),
    *("--no-recurse-submodules", "--no-auto-maintenance"),
)
# As in `git submodule`: a repository must not choose a transport that reads files of this machine or runs commands.
CHOSEN_BY_REPOSITORY: Environment = (("GIT_PROTOCOL_FROM_USER", "0"),)


def create(folder: Path, *, is_sha256: bool = False) -> Step:
    """Create a bare repository in a folder that exists; nothing of a template is copied."""
    words = ("init", "--quiet", "--bare", "--template=", f"--object-format={'sha256' if is_sha256 else 'sha1'}")
    return git(folder, *words)


def name_remote(folder: Path, url: str) -> Step:
    """Set the URL of `origin`."""
    return git(folder, "config", "remote.origin.url", url)


def offered(folder: Path, url: str) -> Step:
    """List what HEAD, the branches and the tags of a URL are, as `hash TAB name` lines; `folder` has no repository."""
    ceiling = (("GIT_CEILING_DIRECTORIES", str(folder.parent)),)
    patterns = ("HEAD", "refs/heads/*", "refs/tags/*")
    return git(folder, "ls-remote", "--quiet", "--symref", "--end-of-options", url, *patterns, environment=ceiling)


def mirror(folder: Path) -> Step:
    """Fetch all branches and tags of `origin`, and delete those that it no longer has."""
    return git(folder, *FETCH, "--end-of-options", "origin", *MIRRORED)


def fetch_submodule(folder: Path) -> Step:
    """Fetch all branches and tags of a submodule's `origin`."""
    return git(folder, *FETCH, "--end-of-options", "origin", *MIRRORED, environment=CHOSEN_BY_REPOSITORY)


def fetch_commit(folder: Path, commit: str) -> Step:
    """Fetch a commit of a submodule that no branch of it contains; servers may refuse that."""
    return git(folder, *FETCH, "--end-of-options", "origin", commit, environment=CHOSEN_BY_REPOSITORY)


def point_head(folder: Path, branch: str) -> Step:
    """Set the default branch."""
    return git(folder, "symbolic-ref", "HEAD", branch)


def submodules(folder: Path, commit: str) -> Step:
    """List the entries of `.gitmodules` in a commit as `submodule.NAME.KEY LF VALUE NUL`; fails without that file."""
    words = ("config", "-z", "--blob", f"{commit}:.gitmodules", "--get-regexp", r"^submodule\..*\.(path|url)$")
    return git(folder, *words)


def entry(folder: Path, commit: str, path: str) -> Step:
    """Ask for the entry of a path in a commit, as `mode type hash TAB path NUL`."""
    return git(folder, "ls-tree", "-z", commit, "--", f":(literal,top){path}")


def helper(folder: Path, url: str) -> Step:
    """Ask for the credential helpers that git uses for a URL."""
    return git(folder, "config", "--get-urlmatch", "credential.helper", url)
