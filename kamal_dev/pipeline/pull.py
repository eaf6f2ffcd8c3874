"""The story of `dev pull`: fetch the work in a workspace as a local branch. The local checkout does not change."""

from __future__ import annotations

import itertools
import shlex
import shutil
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from kamal_dev.commands import answers, events, git, payload
from kamal_dev.commands import workspace as commands
from kamal_dev.commands.words import is_hash
from kamal_dev.errors import DevError, HostError, UsageError
from kamal_dev.model import Host, Result
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project, temporary
from kamal_dev.shell import Receiver, Shell
from kamal_dev.values import dataclass

RECEIVING = 3600.0
PULLED = "refs/heads/pulled"
LONGEST = 1 << 16  # bytes to read of a path or a hash


@dataclass(frozen=True)
class PulledBranch:
    """Hold a branch that was fetched.

    `path` is the submodule it is in, empty for the repository itself; `since` is the commit that the host was sent,
    `summary` says how much is new.
    """

    path: str
    branch: str
    commit: str
    since: str
    summary: str

    @property
    def advice(self) -> tuple[str, ...]:
        """How to look at it, and how to merge it."""
        words = f"git -C {shlex.quote(self.path)}" if self.path else "git"
        return (f"{words} diff {self.since[:12] or 'HEAD'} {self.branch}", f"{words} merge {self.branch}")

    def as_json(self) -> dict[str, Any]:
        """Return the branch for `--json`."""
        return asdict(self)


@dataclass(frozen=True)
class _Box:
    """Hold what the host sent of one part."""

    path: str
    tip: str
    since: str
    bundle: Path


def pull(run: Run, name: str | None) -> tuple[PulledBranch, ...]:
    """Fetch the commits and changes of a stack's workspace; return the branches that hold them.

    Raises UsageError outside git, HostError if the host has no clone.
    """
    if run.remote_repository:
        url = run.remote_repository.url.url
        hint = f"run `dev pull` in a clone: `git clone {url}`"
        raise UsageError("`dev pull` fetches work into a clone, and a URL has none here", hint=hint)
    if run.project.workspace_source != "git":
        raise UsageError("`dev pull` requires a workspace that is a git clone", hint="set `workspace.source: git`")
    name, target = running(run.stacks, name, run.project.config.service)
    run.output.start("fetching", "", target)
    with temporary.folder("pulled", run.project.private()) as folder:
        boxes = _receive(run.project, run.connections, target, name, Path(folder, "new"), whole=False)
        if not all(_has(run.project, run.local, box) for box in boxes):
            boxes = _receive(run.project, run.connections, target, name, Path(folder, "whole"), whole=True)
        pulled = tuple(_take(run.project, run.local, target, name, box) for box in boxes)
    if not pulled:
        run.output.skip("fetching", "", target)
    for branch in pulled:
        run.output.done("fetching", f"{branch.path or 'the workspace'} into branch `{branch.branch}`", target)
    return pulled


def _receive(
    project: Project, connections: HostConnections, target: Host, name: str, folder: Path, *, whole: bool
) -> tuple[_Box, ...]:
    shell = connections.remote(target)
    assert isinstance(shell, Receiver)
    step = commands.collect(connections.scripts, name, project.source.repository.name, whole=whole)
    folder.mkdir()
    path = folder / "answer"
    # Each received bundle is first copied out of the archive, and then git makes a pack of it.
    room = shutil.disk_usage(folder).free // 3

    def receive() -> events.ScriptResult:
        feed = commands.stream(connections.scripts, commands.FETCHED, payload.performed(connections.performer))
        with path.open("wb") as file:
            result = shell.receive(step, _bounded(target, file, room), feed=feed, timeout=RECEIVING)
        if result:
            return events.ScriptResult(ok=True)
        with path.open("rb") as file:
            outcome = answers.outcome(file.read(LONGEST).decode(errors="replace"))
        return outcome if outcome.phase else replace(outcome, reason=result.tail(1))

    outcome = in_turn(connections, target, name, receive)
    if not outcome:
        raise HostError(
            target.name,
            f"{name}: {outcome.reason}",
            hint=f"the first deploy or `dev sync {name} --force` turns a workspace into a clone",
        )
    return tuple(_boxes(target, path, folder))


def _bounded(target: Host, file: IO[bytes], room: int) -> Callable[[bytes], object]:
    """Return a function that writes to a file, and raises HostError if a host sends more than fits."""

    def write(piece: bytes) -> None:
        if file.tell() + len(piece) > room:
            raise HostError(
                target.name,
                f"the new commits and changes in the workspace are larger than {room / 1e9:.1f} GB, a third of "
                "the free disk space here",
                hint="free disk space here, or let git ignore large files in the workspace (`dev ssh`)",
                left_behind="nothing was changed here",
            )
        file.write(piece)

    return write


def _boxes(target: Host, path: Path, folder: Path) -> Iterator[_Box]:
    """Yield the parts in the tar; names in it are never used as local paths. Raises HostError for any other tar."""
    try:
        with tarfile.open(path) as tar:
            members = {member.name.removeprefix("./"): member for member in tar if member.isreg()}
            # A sparse member could be of any size, however little was received.
            if any(member.issparse() for member in members.values()):
                raise _malformed(target, "is not an archive of commits")
            parts = sorted({name.split("/")[1] for name in members if name.startswith("parts/")})
            for index, part in enumerate(parts):
                bundle = folder / f"{index}.bundle"
                with bundle.open("wb") as file:
                    shutil.copyfileobj(_member(tar, members, f"parts/{part}/bundle"), file)
                at, tip, since = (_text(tar, members, f"parts/{part}/{name}") for name in ("path", "tip", "sent"))
                yield _box(target, at, tip.strip(), since.strip(), bundle)
    except (tarfile.TarError, KeyError, IndexError, EOFError) as error:
        raise _malformed(target, "is not an archive of commits") from error


def _member(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> IO[bytes]:
    file = tar.extractfile(members[name])
    assert file is not None, "only regular files are allowed"
    return file


def _text(tar: tarfile.TarFile, members: dict[str, tarfile.TarInfo], name: str) -> str:
    return _member(tar, members, name).read(LONGEST).decode(errors="surrogateescape")


def _box(target: Host, path: str, tip: str, since: str, bundle: Path) -> _Box:
    if wrong := [name for name in (tip, since or tip) if not is_hash(name)]:
        raise _malformed(target, f"names `{wrong[0][:80]}` as a commit")
    return _Box(path, tip, since, bundle)


def _malformed(target: Host, what: str) -> HostError:
    return HostError(
        target.name,
        f"the answer of the host {what}",
        hint="nothing was pulled; inspect the workspace with `dev ssh`",
        left_behind="nothing was changed here",
    )


def _root(project: Project, box: _Box) -> Path:
    """Return the local repository that a part belongs to."""
    repository = project.source.repository.resolve()
    root = repository / box.path
    if "\0" in box.path or not root.resolve().is_relative_to(repository) or not (root / ".git").exists():
        raise DevError(f"there is no repository `{box.path}` on this machine for the branch")
    return root


def _has(project: Project, local: Shell, box: _Box) -> bool:
    return not box.since or bool(local.run(git.resolve(_root(project, box), f"{box.since}^{{commit}}")))


def _take(project: Project, local: Shell, target: Host, name: str, box: _Box) -> PulledBranch:
    root = _root(project, box)
    if local.run(git.named(root, box.bundle, PULLED)).output.split()[:1] != [box.tip]:
        raise _malformed(target, "contains a different commit than announced")
    taken = local.run(git.take(root, box.bundle, PULLED))
    branch, before = _free(local, root, f"kamal-dev/{name}", box.tip)
    if not taken:
        raise HostError(target.name, f"{name}: git could not import the commits: {taken.tail(2)}")
    if before != box.tip:
        moved = local.run(git.point(root, branch, box.tip))
        if not moved:
            raise _kept(branch, moved)
    summary = local.run(git.summary(root, box.since, box.tip)).output.strip() if box.since else ""
    return PulledBranch(box.path, branch, box.tip, box.since, summary)


def _kept(branch: str, moved: Result) -> DevError:
    """Return the error for a branch that git refuses to move, such as one checked out in another worktree."""
    return DevError(
        f"could not update the branch `{branch}`: {moved.tail(1).removeprefix('fatal: ')}",
        hint="switch to another branch in that worktree, or rename this one, and run `dev pull` again",
        left_behind="no branch was changed; the workspace was not changed",
    )


def _free(local: Shell, root: Path, wanted: str, tip: str) -> tuple[str, str]:
    """Return the first of `wanted`, `wanted-2` … that does not exist or is an ancestor of `tip`, and its commit."""
    current = local.run(git.branch(root)).output.strip()
    for number in itertools.count(1):
        branch = wanted if number == 1 else f"{wanted}-{number}"
        tip_here = local.run(git.resolve(root, f"refs/heads/{branch}")).output.strip()
        is_older = current != f"refs/heads/{branch}" and local.run(git.is_ancestor(root, tip_here, tip))
        if not tip_here or tip_here == tip or is_older:
            return branch, tip_here
    raise AssertionError("unreachable")
