"""Fetch the submodules that a commit names, each into a bare copy below `modules` in that of its repository."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from kamal_dev.commands import git_checkout, git_remote, origin
from kamal_dev.commands.words import is_hash
from kamal_dev.model import Step
from kamal_dev.project.repository import SUBMODULE, ask
from kamal_dev.project.repository_url import submodule_url
from kamal_dev.project.revision import FETCHING
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

DEEPEST = 8


@dataclass(frozen=True)
class Submodule:
    """Hold one submodule of a commit; name, path and URL are what the repository chose."""

    name: str
    path: str
    url: str
    commit: str


def fetch(bare: Path, commit: str, url: str, shell: Local, depth: int = DEEPEST) -> Iterator[str]:
    """Fetch the submodules of a commit, and theirs; yield a warning for each that could not be fetched."""
    for module in _of(bare, commit, shell) if depth else ():
        folder, address = bare / "modules" / module.name, submodule_url(module.url, url)
        if not shell.run(git_checkout.exists(folder, module.commit)) and not _fetched(module, folder, address, shell):
            shown = origin.without_credentials(address)
            yield f"submodule `{module.path}` could not be fetched from {shown}, so its folder stays empty"
        else:
            yield from fetch(folder, module.commit, address, shell, depth - 1)


def _of(bare: Path, commit: str, shell: Local) -> Iterator[Submodule]:
    listing = shell.run(git_remote.submodules(bare, commit)).output
    settings = dict(entry.partition("\n")[::2] for entry in listing.split("\0") if entry)
    for key, path in settings.items():
        name = key.removeprefix("submodule.").removesuffix(".path")
        url = settings.get(f"submodule.{name}.url", "")
        if not key.endswith(".path") or not url or not _is_plain(name):
            continue
        mode, _, wanted = (
            shell.run(git_remote.entry(bare, commit, path)).output.partition("\t")[0].partition(" commit ")
        )
        if mode == SUBMODULE and is_hash(wanted):
            yield Submodule(name, path, url, wanted)


def _is_plain(name: str) -> bool:
    """Return whether a name, which is a path below `modules`, leads nowhere else."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith(("/", "-")) and ".." not in parts


def _fetched(module: Submodule, folder: Path, url: str, shell: Local) -> bool:
    """Fetch a submodule; return whether its commit exists now. A copy that never had one is deleted."""
    is_new = not (folder / "HEAD").is_file()
    if is_new:
        folder.mkdir(parents=True, exist_ok=True)
        ask(shell, git_remote.create(folder, is_sha256=len(module.commit) == 64), folder)
    ask(shell, git_remote.name_remote(folder, url), folder)
    exists = _brings(folder, module.commit, git_remote.fetch_submodule(folder), shell)
    exists = exists or _brings(folder, module.commit, git_remote.fetch_commit(folder, module.commit), shell)
    if not exists and is_new:
        shutil.rmtree(folder, ignore_errors=True)
    return exists


def _brings(folder: Path, commit: str, step: Step, shell: Local) -> bool:
    shell.run(step, timeout=FETCHING)
    return bool(shell.run(git_checkout.exists(folder, commit)))
