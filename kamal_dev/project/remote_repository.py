"""A repository that is not checked out: a bare copy in the user's cache folder, from which checkouts borrow objects."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from kamal_dev.commands import git, git_checkout, git_remote
from kamal_dev.commands.words import is_hash
from kamal_dev.model import Secret
from kamal_dev.output import Output
from kamal_dev.project import refused_remote, submodules
from kamal_dev.project import revision as revisions
from kamal_dev.project.checkout import CACHE, Checkout, Checkouts, cache_folder
from kamal_dev.project.locks import Say, held
from kamal_dev.project.repository import ask
from kamal_dev.project.repository_url import RepositoryUrl
from kamal_dev.project.revision import HEADS, PULL_REQUEST, Revision, Supply
from kamal_dev.project.shared_lock import SharedLock, is_free
from kamal_dev.shell.local import Local

REMOTE = "origin"
CURRENT = "@"  # no stack has a name that begins like this
STAMP = "kamal-dev-fetched"


def state_folder(url: RepositoryUrl) -> Path:
    """Return the folder for what must outlive the cache: which stacks exist, keys of hosts, whether it is trusted."""
    # Imported here because most runs need no such folder.
    from platformdirs import user_state_path

    folder = user_state_path(CACHE, appauthor=False) / "repositories" / url.key
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


class RemoteRepository:
    """Keep the bare copy of the repository at `url`, and its checkouts. Runs of `dev` share it."""

    def __init__(self, url: RepositoryUrl, output: Output, environment: Mapping[str, str]) -> None:
        if url.password:
            for text in (url.password.reveal(), f"{url.user}:{url.password.reveal()}"):
                output.redaction.add(Secret(text))
        self.url = url
        self._output = output
        self._shell = Local(log=output.step, environment=url.environment(environment))
        self._home = cache_folder() / "repositories" / url.key
        self._bare = self._home / f"{url.name}.git"

    def refresh(self) -> None:
        """Fetch what is new. Raises GitFailed; without a network, the copy of an earlier run is used with a warning."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with held(self._home / "lock", f"fetches {self.url.url}", say=self._output.info):
            listing = self._shell.run(git_remote.offered(self._home, self.url.url), timeout=revisions.FETCHING)
            if listing:
                self._mirror(_offered(listing.output), listing.output)
            elif self._fetched_at and refused_remote.is_offline(listing.tail()):
                age = _age(time.time() - self._fetched_at)
                self._output.warn(f"{self.url.url} does not answer: using the copy that was fetched {age} ago")
            else:
                raise refused_remote.error(self.url, listing.tail(), self._helper())

    def resolve(self) -> Revision:
        """Return the commit of the reference; for a pull request that of the default branch, which it will change."""
        is_pull = PULL_REQUEST.fullmatch(self.url.ref)
        return self.checkouts.resolve(self.url.ref if self.url.ref and not is_pull else "HEAD")

    @contextmanager
    def checked_out(self, revision: Revision) -> Iterator[Path]:
        """Check out a revision in a folder that runs share; it is only changed while no other run uses it."""
        key = f"{CURRENT}{revision.commit[:12]}"
        folder = self.checkouts.of(key)
        with ExitStack() as stack:
            with held(self._home / "lock", f"checks out {self.url.url}", say=self._output.info):
                folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                lock = stack.enter_context(SharedLock(folder.parent / "in-use"))
                if lock.is_alone() or not folder.is_dir():
                    with self.checkouts.using(key, revision, self._output.info):
                        self._forget_others(key)
                lock.share()
            yield folder

    @cached_property
    def supply(self) -> Supply:
        """Where checkouts get their objects from; each branch follows that of the same name."""
        settings = revisions.settings_of(self._shell, git.settings(self._bare), self._bare)
        names = self._shell.run(git_checkout.names(self._bare, (HEADS,))).output.splitlines()
        for name in (line.partition(" ")[2] for line in names):
            branch = f"branch.{name.removeprefix(HEADS)}"
            settings |= {f"{branch}.remote": REMOTE, f"{branch}.merge": name}
        bare = self._bare
        return Supply(bare, bare, bare, bare / "objects", bare / "shallow", settings, REMOTE)

    @cached_property
    def checkouts(self) -> Checkouts:
        """The checkouts of the stacks."""
        return _RemoteCheckouts(self.supply, self.url, self._shell, self._output)

    def _mirror(self, offered: Mapping[str, str], listing: str) -> None:
        """Bring the copy to what the remote has."""
        if not (self._bare / "HEAD").is_file():
            self._create(is_sha256=any(len(commit) == 64 for commit in offered.values()))
        ask(self._shell, git_remote.name_remote(self._bare, self.url.url), self._bare)
        for line in listing.splitlines():
            if line.startswith(f"ref: {HEADS}"):
                branch = line.removeprefix("ref: ").partition("\t")[0]
                ask(self._shell, git_remote.point_head(self._bare, branch), self._bare)
        known = self._shell.run(git_checkout.names(self._bare, (HEADS, revisions.TAGS))).output.splitlines()
        here = {name: commit for commit, _, name in (line.partition(" ") for line in known)}
        wanted = {name: commit for name, commit in offered.items() if name.startswith("refs/") and "^" not in name}
        if here != wanted:
            self._output.info(f"Fetching {self.url.url}")
            result = self._shell.run(git_remote.mirror(self._bare), timeout=revisions.FETCHING)
            if not result:
                raise refused_remote.error(self.url, result.tail(), self._helper())
        (self._bare / STAMP).touch()

    def _create(self, *, is_sha256: bool) -> None:
        shutil.rmtree(self._bare, ignore_errors=True)
        self._bare.mkdir(mode=0o700)
        ask(self._shell, git_remote.create(self._bare, is_sha256=is_sha256), self._bare)

    def _helper(self) -> str:
        return self._shell.run(git_remote.helper(self._home, self.url.url)).output.strip().replace("\n", ", ")

    @property
    def _fetched_at(self) -> float:
        stamp = self._bare / STAMP
        return stamp.stat().st_mtime if stamp.is_file() else 0.0

    def _forget_others(self, key: str) -> None:
        """Delete the checkouts of other commits that no run uses."""
        for folder in self.checkouts.of(key).parent.parent.glob(f"{CURRENT}*"):
            if folder.name != key and is_free(folder / "in-use"):
                shutil.rmtree(folder, ignore_errors=True)


class _RemoteCheckouts(Checkouts):
    """Keep the checkouts of the copy, which gets everything that is fetched for them: commits and submodules."""

    def __init__(self, supply: Supply, url: RepositoryUrl, shell: Local, output: Output) -> None:
        super().__init__(supply, url.name, shell)
        self._url = url
        self._output = output

    @contextmanager
    def using(self, stack: str, revision: Revision, say: Say) -> Iterator[Checkout]:
        """Fetch the submodules first. One that cannot be fetched stays empty, with a warning."""
        for warning in submodules.fetch(self._supply.root, revision.commit, self._url.url, self._shell):
            self._output.warn_once(warning)
        with super().using(stack, revision, say) as made:
            yield made

    @property
    def _fetched(self) -> Path:
        return self._supply.objects


def _offered(listing: str) -> dict[str, str]:
    """Return the commits that a remote has, by the names of their references."""
    lines = (line.split("\t", 1) for line in listing.splitlines() if "\t" in line)
    return {name: commit for commit, name in lines if is_hash(commit)}


def _age(seconds: float) -> str:
    """Return a duration in its largest unit."""
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "a moment"
