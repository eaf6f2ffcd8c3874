"""The story of `dev cp`: copy files between this machine and a container, as a tar over one connection."""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from kamal_dev.commands import copy
from kamal_dev.commands.copy import CopyPlace, CopyTarget
from kamal_dev.commands.stacks import RunningContainer
from kamal_dev.errors import HostError, UsageError
from kamal_dev.model import Host, Result
from kamal_dev.pipeline.hosts.stack_projects import Projects, projects, service_names
from kamal_dev.pipeline.hosts.target import described, find, one, running, service_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import is_numbered
from kamal_dev.project import Project, archive
from kamal_dev.shell import Receiver
from kamal_dev.shell.fanout import Background

SHOWN_EVERY = 1 << 22  # bytes


def cp(project: Project, connections: HostConnections, stacks: Mapping[str, Host], source: str, target: str) -> int:
    """Copy a file or folder; return how many files were received, 0 if they were sent.

    Raises UsageError unless exactly one of the two paths is in a stack, and HostError if the copy fails.
    """
    service = project.config.service
    words = (*stacks, *(name.removeprefix(f"{service}-") for name in stacks if not is_numbered(project, name)))
    named = [one(stacks, name, service)[0] for name in copy.stacks_of((source, target), words)]
    known = projects(project, connections, {name: stacks[name] for name in named})
    origin, goal = (copy.place(text, words, service_names(known.values())) for text in (source, target))
    if bool(origin.stack) == bool(goal.stack):
        raise UsageError(
            "one path must be in a stack (`NAME:PATH`), the other on this machine",
            hint="dev cp guestbook-1:log/dev.log .",
        )
    if goal.stack:
        if not Path(source).is_file() and not Path(source).is_dir():
            raise UsageError(
                f"{source} is no file or folder" if Path(source).exists() else f"there is no file {source}"
            )
        _send(_ContainerPath(known, connections, stacks, goal), Path(source))
        return 0
    folder = Path(target) if target.endswith("/") else Path(target).absolute().parent
    if not Path(target).is_dir() and not folder.is_dir():
        raise UsageError(f"there is no folder {folder}")
    return _fetch(_ContainerPath(known, connections, stacks, origin), Path(target))


class _ContainerPath:
    """Copy to or from a path in the container of a service."""

    def __init__(
        self, known: Projects, connections: HostConnections, stacks: Mapping[str, Host], place: CopyPlace
    ) -> None:
        service = next(iter(known.values())).config.service
        self.name, self.host = running(stacks, place.stack, service)
        project = known[self.name]
        service = service_of(project, place.service)
        self.output = connections.output
        self.shell = connections.remote(self.host)
        self.container: RunningContainer = find(project, connections, self.name, self.host, service)
        about = None if service else described(project, self.container)
        self.user = (about.remote_user or about.container_user) if about else ""
        self.path = posixpath.join(about.workspace_folder if about else "/", place.path)

    def look(self) -> CopyTarget:
        """Return what is at the path, and which user its files belong to."""
        return CopyTarget.of(self.shell.run(copy.look(self.container, self.path, self.user)).output)

    def failed(self, result: Result) -> HostError:
        """Return why the engine could not copy."""
        reason = result.tail(1).removeprefix("Error response from daemon: ")
        if "Could not find the file" in reason:
            hint = "a file in memory (/proc, a tmpfs mount) can be read with `dev exec NAME SERVICE -- cat PATH`"
            return HostError(self.host.name, f"there is no file {self.path} in the container", hint=hint)
        return HostError(self.host.name, f"could not copy {self.path}: {reason}")


class CopyProgress:
    """Show the progress of a copy every few megabytes; a small one ends without a word, like `cp`."""

    def __init__(self, place: _ContainerPath, name: str, total: int | None = None) -> None:
        self._output, self._host, self._name = place.output, place.host, name
        self._total, self._began = total, time.monotonic()
        self._bytes = self._shown = 0

    def count(self, chunk: bytes) -> bytes:
        """Return the chunk that is copied next."""
        self._bytes += len(chunk)
        if self._bytes - self._shown >= SHOWN_EVERY:
            if not self._shown:
                self._output.start("copying", self._name, self._host)
            self._shown = self._bytes
            total = self._total and max(self._total, self._bytes)
            self._output.progress("copying", self._bytes, total, "bytes", self._host, subject=self._name)
        return chunk

    def end(self) -> None:
        """Report the end of a copy that was shown."""
        if self._shown:
            self._output.done("copying", self._name, self._host, seconds=time.monotonic() - self._began)


def _send(target: _ContainerPath, source: Path) -> None:
    facts = target.look()
    path = facts.leads_to or target.path.rstrip("/") or "/"
    folder, name = posixpath.split(path)
    if facts.kind == "memory":
        raise HostError(
            target.host.name,
            f"{path} is in memory (tmpfs or /proc), and Docker cannot copy to it",
            hint="`dev exec NAME SERVICE -- sh -c 'cat >PATH' <FILE` can",
        )
    if facts.kind == "nowhere" or (facts.kind != "dir" and target.path.endswith("/") and not source.is_dir()):
        raise HostError(
            target.host.name, f"there is no folder {folder if facts.kind == 'nowhere' else path} in the container"
        )
    if facts.kind == "file" and source.is_dir():
        raise HostError(target.host.name, f"{path} is a file in the container, and {source} is a folder")
    if facts.kind == "dir":
        folder, name = path, source.resolve().name if source.name in ("", "..") else source.name
    reading, writing = os.pipe()

    def packed() -> None:
        with os.fdopen(writing, "wb") as stream:
            archive.pack(source.resolve(), name, facts.user, facts.group, stream)

    packing = Background(packed, name="pack")
    with os.fdopen(reading, "rb") as stream:
        progress = CopyProgress(target, source.resolve().name, source.stat().st_size if source.is_file() else None)
        result = target.shell.run(copy.into(target.container, folder), feed=map(progress.count, archive.chunks(stream)))
    try:
        packing.result()
    except BrokenPipeError:
        if result:
            raise
    except OSError as error:
        raise UsageError(f"could not read {error.filename or source}: {error.strerror or error}") from error
    if not result:
        raise target.failed(result)
    progress.end()


def _fetch(source: _ContainerPath, target: Path) -> int:
    shell = source.shell
    assert isinstance(shell, Receiver)
    reading, writing = os.pipe()
    progress = CopyProgress(source, posixpath.basename(source.path) or "/")

    def received() -> Result:
        with os.fdopen(writing, "wb") as stream:
            return shell.receive(
                copy.out_of(source.container, source.path),
                lambda chunk: stream.write(progress.count(chunk)),
                feed=(),
            )

    receiving = Background(received, name="receive")
    with os.fdopen(reading, "rb") as stream:
        count = _unpacked(source, stream, target)
    result = receiving.result()
    if not result:
        raise source.failed(result)
    if not count:
        raise HostError(source.host.name, f"nothing was copied from {source.path}")
    progress.end()
    return count


def _unpacked(source: _ContainerPath, stream: BinaryIO, target: Path) -> int:
    """Unpack the received tar; it is empty if the path does not exist, which the engine reports."""
    start = stream.peek(1)  # type: ignore[attr-defined]
    if not start:
        return 0
    # If the path is a link, the tar has the name of the file that it leads to.
    name = posixpath.basename(source.path)
    return archive.unpack(
        stream,
        target,
        lambda name: source.output.warn(f"skipped `{name}`: a special file, or a link that points outside"),
        name="" if name in ("", ".", "..") else name,
    )
