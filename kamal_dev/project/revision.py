"""Find the commit that a reference names: in the repository, else at its remote. The repository is not changed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path

from kamal_dev.commands import git, git_checkout, origin
from kamal_dev.commands.words import is_hash
from kamal_dev.errors import GitFailed, UsageError
from kamal_dev.model import Step
from kamal_dev.pattern import pattern
from kamal_dev.project.repository import listed, open_repository
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

PULL_REQUEST = pattern(r"(?:pr|mr)/([1-9][0-9]{0,9})")
PULLS = ("refs/pull/{}/head", "refs/merge-requests/{}/head")
HEADS, TAGS, REMOTES = "refs/heads/", "refs/tags/", "refs/remotes/"
# A name that git allows for a branch or tag; `git check-ref-format` allows a few more.
NAME = pattern(r"(?![-/.])(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\]+(?<![/.])")
FETCHING = 600.0


@dataclass(frozen=True)
class Supply:
    """Hold where commits come from: a repository, or a submodule of one.

    git runs in `root`. `common` is the git folder that all worktrees share; `shallow` ends a shallow history.
    """

    root: Path
    common: Path
    git_dir: Path
    objects: Path
    shallow: Path
    settings: Mapping[str, str]
    remote: str = ""


@dataclass(frozen=True)
class Revision:
    """Hold a commit, and the reference that names it.

    `ref` is what is remembered: a reference that means the same in every clone, if there is one. `branch` is the
    branch to check out, empty for a detached HEAD, and `upstream` the reference that it follows at the remote.
    """

    ref: str
    commit: str
    branch: str = ""
    upstream: str = ""


def supply_of(folder: Path, shell: Local) -> Supply:
    """Return the supply of the repository that contains `folder`. Raises GitFailed."""
    repository = open_repository(folder, shell)
    common = folder / shell.run(git_checkout.common_folder(folder)).output.strip()
    settings = settings_of(shell, git.settings(repository.work), repository.work)
    branch = shell.run(git.branch(folder)).output.strip().removeprefix(HEADS)
    return Supply(
        repository.work,
        common.resolve(),
        repository.git_dir,
        repository.objects.resolve(),
        repository.shallow,
        settings,
        origin.of(settings, branch),
    )


def settings_of(shell: Local, step: Step, place: Path) -> dict[str, str]:
    """Return git settings by name."""
    entries = (entry.partition("\n") for entry in listed(shell, step, place))
    return {name: value for name, _, value in entries}


def resolve(supply: Supply, ref: str, fetched: Path, shell: Local) -> Revision:
    """Return the commit that a reference names.

    A branch or tag of the repository comes before one at its remote, from which the missing commits are fetched into
    the object folder `fetched`. Raises UsageError if neither has it, GitFailed if the remote does not answer.
    """
    if number := PULL_REQUEST.fullmatch(ref):
        return _pull_request(supply, number[1], fetched, shell)
    return _known(supply, ref, shell) or _remote(supply, ref, fetched, shell)


def _known(supply: Supply, ref: str, shell: Local) -> Revision | None:
    """Return a revision that the repository has: like for `git switch`, a branch comes before a tag."""
    if NAME.fullmatch(ref) and (commit := _commit(supply, HEADS + ref, shell)):
        return _of_branch(supply, ref, commit)
    if not (commit := _commit(supply, ref, shell)):
        return None
    name = shell.run(git_checkout.full_name(supply.root, ref)).output.strip()
    if name.startswith(HEADS):
        return _of_branch(supply, name.removeprefix(HEADS), commit)
    remote, _, branch = name.removeprefix(REMOTES).partition("/")
    if name.startswith(REMOTES) and remote == supply.remote and branch != "HEAD":
        return Revision(ref, commit, branch, HEADS + branch)
    if name.startswith((TAGS, REMOTES)):
        return Revision(ref, commit)
    # `main~2` and `HEAD` would name another commit tomorrow.
    return Revision(commit, commit)


def _of_branch(supply: Supply, branch: str, commit: str) -> Revision:
    followed = origin.upstream(supply.settings, branch, supply.remote)
    return Revision(branch, commit, branch, HEADS + followed if followed else "")


def _commit(supply: Supply, name: str, shell: Local) -> str:
    """Return the commit with this name; empty if there is none, or if it is a range."""
    commit = shell.run(git.resolve(supply.root, f"{name}^{{commit}}")).output.strip()
    return commit if is_hash(commit) else ""


def _pull_request(supply: Supply, number: str, fetched: Path, shell: Local) -> Revision:
    offered = _at_remote(supply, [pattern.format(number) for pattern in PULLS], shell)
    for name, commit in offered.items():
        _fetch(supply, name, commit, fetched, shell)
        return Revision(f"pr/{number}", commit, f"pr/{number}", name)
    raise UsageError(f"`{supply.remote}` has no pull request {number}", hint="its number is in its address")


def _remote(supply: Supply, ref: str, fetched: Path, shell: Local) -> Revision:
    """Return a branch, tag or commit that only the remote has."""
    if is_hash(ref):
        # Servers that allow it send any commit; the error of others says nothing that helps.
        if supply.remote and _is_fetched(supply, ref, ref, fetched, shell):
            return Revision(ref, ref)
        raise _unknown(supply, ref, shell)
    if not NAME.fullmatch(ref) or not supply.remote:
        raise _unknown(supply, ref, shell)
    offered = _at_remote(supply, [HEADS + ref, TAGS + ref, f"{TAGS}{ref}^{{}}"], shell)
    commit = offered.get(HEADS + ref) or offered.get(f"{TAGS}{ref}^{{}}") or offered.get(TAGS + ref)
    if not commit:
        raise _unknown(supply, ref, shell)
    name = HEADS + ref if HEADS + ref in offered else TAGS + ref
    _fetch(supply, name, commit, fetched, shell)
    return Revision(ref, commit, ref, name) if name.startswith(HEADS) else Revision(ref, commit)


def _at_remote(supply: Supply, names: list[str], shell: Local) -> dict[str, str]:
    """Return the commits of those of these references that the remote has, in the order of `names`."""
    if not supply.remote:
        raise UsageError(f"{supply.root} has no remote to fetch from", hint="add one with `git remote add origin URL`")
    listing = shell.run(git_checkout.remote_names(supply.root, supply.remote, names), timeout=FETCHING)
    if not listing:
        raise _unreachable(supply.remote, listing.tail())
    # A pattern also matches the end of longer names.
    lines = dict(line.split("\t", 1)[::-1] for line in listing.output.splitlines() if "\t" in line)
    return {name: lines[name] for name in names if name in lines and is_hash(lines[name])}


def _fetch(supply: Supply, name: str, commit: str, fetched: Path, shell: Local) -> None:
    if not _is_fetched(supply, name, commit, fetched, shell):
        raise GitFailed(f"`{supply.remote}` did not send {name}", hint=f"`git fetch {supply.remote} {name}` shows why")


def _is_fetched(supply: Supply, name: str, commit: str, fetched: Path, shell: Local) -> bool:
    """Fetch a reference; return whether the commit is there now, which it named a moment ago."""
    (fetched / "info").mkdir(parents=True, exist_ok=True)
    view = git.Aside(supply.git_dir / "index", fetched, supply.objects)
    if not shell.run(git.exists(supply.root, view, f"{commit}^{{commit}}")):
        step = git_checkout.fetch_into(supply.root, fetched, supply.objects, supply.remote, name)
        shell.run(step, timeout=FETCHING)
    return bool(shell.run(git.exists(supply.root, view, f"{commit}^{{commit}}")))


def _unreachable(remote: str, words: str) -> GitFailed:
    """Return the error for a remote that does not answer, with git's own words."""
    lines = [line.strip() for line in words.splitlines() if line.startswith(("fatal:", "error:", "ssh:", "remote:"))]
    reason = "; ".join(lines) or words.strip() or "it gave no reason"
    return GitFailed(
        f"git cannot read `{remote}`: {reason}",
        hint="`dev` uses your git credentials and cannot ask for a password: check with `git ls-remote`",
    )


def _unknown(supply: Supply, ref: str, shell: Local) -> UsageError:
    known = list(_short(supply, shell))
    near = difflib.get_close_matches(ref, known, n=1)
    where = f", and neither has `{supply.remote}`" if supply.remote else ""
    hint = f"did you mean `{near[0]}`?" if near else "use a branch, a tag, a commit, or `pr/N` for a pull request"
    return UsageError(f"there is no branch, tag or commit `{ref}` here{where}", hint=hint)


def _short(supply: Supply, shell: Local) -> Iterator[str]:
    """Yield the names of branches and tags, without their prefixes."""
    prefixes = (HEADS, TAGS, f"{REMOTES}{supply.remote}/")
    for line in shell.run(git_checkout.names(supply.root, prefixes)).output.splitlines():
        name = line.partition(" ")[2]
        yield next((name.removeprefix(prefix) for prefix in prefixes if name.startswith(prefix)), name)
