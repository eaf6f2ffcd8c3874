"""Check out a commit in the user's cache folder: an own git folder that borrows the objects of the repository.

Unlike `git worktree add`, this changes nothing in the repository, and a branch may be checked out there too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from kamal_dev.commands import git, git_checkout, origin
from kamal_dev.errors import GitFailed
from kamal_dev.project import context
from kamal_dev.project import revision as revisions
from kamal_dev.project.locks import Say, held
from kamal_dev.project.repository import ask, open_repository, read_index
from kamal_dev.project.revision import HEADS, TAGS, Revision, Supply
from kamal_dev.project.store import ALIKE, FORMAT
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

CACHE = "kamal-dev"
DONE = "kamal-dev-commit"  # in the git folder: the commit whose files were last checked out completely
REF = "kamal-dev-ref"
CONVERSIONS = ("core.autocrlf", "core.eol", *ALIKE)
PARTIAL = "blob:none"


@dataclass(frozen=True)
class Checkout:
    """Hold a checkout of one stack: the folder of the repository, and what is checked out in it."""

    folder: Path
    revision: Revision


def cache_folder() -> Path:
    """Return the folder for clones and checkouts, which belongs to the user and can be deleted at any time."""
    # Imported here because most runs need no cache.
    from platformdirs import user_cache_path

    return user_cache_path(CACHE, appauthor=False)


class Checkouts:
    """Keep the checkouts of one repository, a folder for each stack; `name` is the name of their last folder."""

    def __init__(self, supply: Supply, name: str, shell: Local, cache: Path | None = None) -> None:
        self._supply = supply
        self._name = name
        self._shell = shell
        identity = hashlib.sha256(os.fsencode(supply.common)).hexdigest()[:12]
        self._home = (cache or cache_folder()) / f"{name}-{identity}"

    def resolve(self, ref: str) -> Revision:
        """Return the commit that a reference names, fetched if only the remote has it. Raises UsageError, GitFailed."""
        # The repository may be one that other users of this machine cannot read.
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        return revisions.resolve(self._supply, ref, self._fetched, self._shell)

    def of(self, stack: str) -> Path:
        """Return the folder of a stack's checkout, which may not exist."""
        return self._home / stack / self._name

    def last_ref(self, stack: str) -> str:
        """Return the reference that was last checked out for a stack; empty if there is none."""
        path = self.of(stack) / ".git" / REF
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    @contextmanager
    def using(self, stack: str, revision: Revision, say: Say) -> Iterator[Checkout]:
        """Check out a revision for a stack, and keep other runs from changing it in the `with` block."""
        folder = self.of(stack)
        folder.parent.mkdir(exist_ok=True)
        with held(folder.parent / "lock", f"uses the source of {stack}", say=say):
            _check_out(self._supply, revision, folder, self._fetched, self._shell)
            yield Checkout(folder, revision)

    def forget(self, stack: str, say: Say) -> None:
        """Delete the checkout of a stack, and everything that was fetched once no checkout is left."""
        folder = self.of(stack)
        if not folder.parent.is_dir():
            return
        with held(folder.parent / "lock", f"uses the source of {stack}", say=say):
            shutil.rmtree(folder.parent, ignore_errors=True)
        context.forget_missing()
        if not any(path.is_dir() and path != self._fetched.parent for path in self._home.iterdir()):
            shutil.rmtree(self._home, ignore_errors=True)

    @property
    def _fetched(self) -> Path:
        return self._home / "fetched" / "objects"


def _check_out(supply: Supply, revision: Revision, folder: Path, fetched: Path, shell: Local) -> None:
    """Bring a folder to a revision; one that git cannot use, because objects are gone, is made again."""
    done = folder / ".git" / DONE
    try:
        _fill(supply, revision, folder, fetched, shell)
    except GitFailed:
        if not done.exists():
            raise
        shutil.rmtree(folder)
        _fill(supply, revision, folder, fetched, shell)
    (folder / ".git" / REF).write_text(revision.ref, encoding="utf-8")


def _fill(supply: Supply, revision: Revision, folder: Path, fetched: Path | None, shell: Local) -> None:
    """Bring index and files of a folder, and of its submodules, to a revision. Raises GitFailed."""
    own = folder / ".git"
    done = own / DONE
    is_same = done.is_file() and done.read_text(encoding="utf-8") == revision.commit
    _write(supply, revision, own, fetched, shell)
    # A run that was killed leaves its lock behind; ours keeps others from running.
    (own / "index.lock").unlink(missing_ok=True)
    _require(folder, revision.commit, shell)
    ask(shell, git_checkout.reset(folder), folder)
    ask(shell, git_checkout.clean(folder, ignored=not is_same), folder)
    for path, name, commit in _submodules(folder, shell):
        _fill_submodule(supply, folder / path, name, commit, shell)
    done.write_text(revision.commit, encoding="utf-8")


def _require(folder: Path, commit: str, shell: Local) -> None:
    """Fetch a commit that the repository does not have, such as that of a submodule. Raises GitFailed."""
    for wanted in ((commit,), ("+refs/heads/*:refs/remotes/origin/*",)):
        if shell.run(git_checkout.exists(folder, commit)):
            return
        shell.run(git_checkout.fetch(folder, "origin", wanted), timeout=revisions.FETCHING)
    if not shell.run(git_checkout.exists(folder, commit)):
        raise GitFailed(
            f"commit {commit[:12]} of `{folder.name}` does not exist here, and its remote did not send it",
            hint="push it, or run `git submodule update --init` if it belongs to a submodule",
        )


def _write(supply: Supply, revision: Revision, own: Path, fetched: Path | None, shell: Local) -> None:
    """Write a git folder without files: where its objects are, its branch, its names and its settings."""
    shutil.rmtree(own / "refs", ignore_errors=True)
    for name in ("objects/info", "objects/pack", "refs/heads", "info"):
        (own / name).mkdir(parents=True, exist_ok=True)
    objects = (supply.objects, fetched) if fetched and fetched.is_dir() else (supply.objects,)
    branch = own / HEADS / revision.branch if revision.branch else None
    if branch:
        branch.parent.mkdir(parents=True, exist_ok=True)
        branch.write_text(f"{revision.commit}\n", encoding="utf-8")
    texts = {
        "HEAD": f"ref: {HEADS}{revision.branch}\n" if branch else f"{revision.commit}\n",
        "config": _config(supply, revision),
        "objects/info/alternates": "".join(f"{git.listed(path)}\n" for path in objects),
        "packed-refs": _names(supply, revision, shell),
        "shallow": supply.shallow.read_text(encoding="utf-8") if supply.shallow.is_file() else "",
    }
    for name, text in texts.items():
        (own / name).write_text(text, encoding="utf-8", errors="surrogateescape")
    if not texts["shallow"]:
        (own / "shallow").unlink()


def _names(supply: Supply, revision: Revision, shell: Local) -> str:
    """Return the tags, and the branch that the checked-out one follows, in the form of `packed-refs`."""
    names = shell.run(git_checkout.names(supply.root, (TAGS,))).output.splitlines() if supply.root.is_dir() else []
    if revision.upstream.startswith(HEADS):
        followed = revision.upstream.removeprefix(HEADS)
        known = shell.run(git.resolve(supply.root, f"refs/remotes/{supply.remote}/{followed}")).output.strip()
        # A branch that was just fetched is where the remote has it.
        names.append(f"{known or revision.commit} refs/remotes/origin/{followed}")
    return "".join(f"{line}\n" for line in names)


def _config(supply: Supply, revision: Revision) -> str:
    """Return the settings of a checkout: those of the repository that matter in another folder, without credentials."""
    settings = supply.settings
    core = "".join(
        f"\t{key.partition('.')[2]} = {settings[key]}\n" for key in dict.fromkeys(CONVERSIONS) if settings.get(key)
    )
    hashes = f"[extensions]\n\tobjectformat = {settings[FORMAT]}\n" if settings.get(FORMAT) else ""
    followed = {f"branch.{revision.branch}.remote": supply.remote, f"branch.{revision.branch}.merge": revision.upstream}
    own = {key: value for key, value in settings.items() if not key.startswith(f"branch.{revision.branch}.")}
    of_branch = followed if revision.upstream.startswith(HEADS) else {}
    text = f"[core]\n\trepositoryformatversion = {int(bool(hashes))}\n\tbare = false\n{core}{hashes}"
    text += origin.config({**own, **of_branch}, revision.branch, supply.remote)
    if settings.get(f"remote.{supply.remote}.promisor") == "true":
        # A partial clone: git fetches what is missing when it is used.
        text += f'[remote "origin"]\n\tpromisor = true\n\tpartialclonefilter = {PARTIAL}\n'
    return text


# --- submodules


def _submodules(folder: Path, shell: Local) -> Iterator[tuple[str, str, str]]:
    """Yield path, name and commit of the submodules of a checkout."""
    index = read_index(shell, open_repository(folder, shell)).submodules
    if not index:
        return
    result = shell.run(git_checkout.submodule_paths(folder))
    entries = (entry.partition("\n") for entry in result.output.split("\0") if entry)
    names = {path: key.removeprefix("submodule.").removesuffix(".path") for key, _, path in entries}
    for path, entry in index.items():
        if (name := names.get(path, "")) and _is_inside(folder, path, name):
            yield path, name, entry.hash


def _is_inside(folder: Path, path: str, name: str) -> bool:
    """Return whether a submodule's name and path, which the repository chooses, lead nowhere else."""
    parts = PurePosixPath(name).parts
    is_plain = not name.startswith("/") and ".." not in parts
    return is_plain and (folder / path).resolve().is_relative_to(folder.resolve())


def _fill_submodule(outer: Supply, folder: Path, name: str, commit: str, shell: Local) -> None:
    """Check out a submodule with the objects of the repository; one that is not checked out there stays empty."""
    places = (outer.git_dir / "modules" / name, outer.common / "modules" / name)
    module = next((place for place in places if (place / "HEAD").is_file()), None)
    if module is None:
        return
    settings = revisions.settings_of(shell, git_checkout.settings_in(folder.parent, module / "config"), folder)
    # git refuses to run in the git folder of a submodule whose files are elsewhere.
    root, remote = Path(os.devnull), origin.of(settings, "")
    supply = Supply(root, module, module, module / "objects", module / "shallow", settings, remote)
    _fill(supply, Revision(commit, commit), folder, None, shell)
