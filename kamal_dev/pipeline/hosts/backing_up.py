"""Pack and replace the volumes and the workspace of a stack on its host, under its lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from kamal_dev.commands import answers, backup, events, payload, workspace
from kamal_dev.commands.backup import BackupManifest
from kamal_dev.commands.operate import StartLimits
from kamal_dev.commands.stacks import PartSize
from kamal_dev.errors import DevError, HostError, LifecycleFailed, ServiceFailed
from kamal_dev.model import Container, Host, Result, Step
from kamal_dev.output.event import Phase
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.scripts import EventPrinter, ask, follow, within
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.project import Project, backup_file, backup_stream
from kamal_dev.shell import Receiver
from kamal_dev.shell.fanout import Background

ASKING = 60.0
LONGEST = 6 * 3600.0  # seconds, as scripts on hosts have it
SHOWN_EVERY = 1 << 24  # bytes
SUBJECT, DATA = "the backup", "the data"
Value = TypeVar("Value")


class Packing(Generic[Value]):
    """Receive what a stack packs while the script that packs it is followed; `keep` reads the compressed tar.

    `copy` is the new stack that it is packed for.
    """

    def __init__(
        self,
        project: Project,
        connections: HostConnections,
        target: Host,
        stack: str,
        keep: Callable[[BinaryIO], Value],
        copy: str = "",
    ) -> None:
        self._project, self._connections, self._target = project, connections, target
        self._stack, self._keep, self._copy = stack, keep, copy
        self._keeping: Background[Value] | None = None
        self._is_complete = False
        self.started: tuple[Container, ...] = ()

    @property
    def is_cut_off(self) -> bool:
        """Whether something was received, but not all of it."""
        return self._keeping is not None and not self._is_complete

    def run(self, parts: tuple[str, ...], *, how: str, done: str) -> Value:
        """Pack `parts` as `commands.backup.pack` does, and return what `keep` has made of them; `done` names that.

        Raises DevError; the services are started again then.
        """
        connections, limits = self._connections, limits_of(self._project)

        def step(token: str) -> Step:
            if self._keeping is None:
                self._keeping = Background(lambda: self._receive(token), name="backup")
            packing = (connections.scripts, token, self._stack, parts, limits)
            return backup.pack(*packing, how=how, copy=self._copy, performer=connections.performer)

        def change() -> events.ScriptResult:
            if self._keeping is not None:
                # Of an attempt that found the stack locked: it would remove the file of this one.
                self._keeping.wait(LONGEST)
            self._keeping = None
            return follow(connections, self._target, step, timeout=LONGEST)

        return self._ended(in_turn(connections, self._target, self._stack, change), done)

    def _ended(self, outcome: events.ScriptResult, done: str) -> Value:
        """Return what was kept, and keep the containers that were started again.

        An error of this machine, such as a full disk, is why the host could not go on.
        """
        error = failure(self._target, outcome, "copy its data" if self._copy else "back it up")
        if self._keeping is None or outcome.state in ("kept", "") or outcome.phase == "lock":
            raise error or HostError(self._target.name, "the host sent no backup")
        try:
            kept = self._keeping.result()
        except DevError as reason:
            # It has removed its own file; what exists now is of another command.
            self._keeping = None
            if error is None:
                raise
            # Either may be the cause: a full disk here ends the reading there, and the other way round.
            both, behind = f"{error.message}; {reason.message}", error.left_behind
            raise HostError(self._target.name, both, hint=reason.hint or error.hint, left_behind=behind) from reason
        if error and outcome.state == "failed":
            raise error
        self._is_complete, self.started = True, outcome.containers
        if error:
            self._connections.output.info(done, self._target, phase="backing_up")
            raise error
        return kept

    def _receive(self, token: str) -> Value:
        return received(self._connections, self._target, backup.stream(self._connections.scripts, token), self._keep)


def received(connections: HostConnections, target: Host, step: Step, keep: Callable[[BinaryIO], Value]) -> Value:
    """Run a step whose output `keep` reads as it arrives; return what `keep` returns."""
    shell = connections.remote(target)
    assert isinstance(shell, Receiver)
    reading, writing = os.pipe()

    def receive() -> Result | None:
        with os.fdopen(writing, "wb", buffering=0) as stream:
            try:
                return shell.receive(step, lambda chunk: _write(stream, chunk), feed=(), timeout=LONGEST)
            except BrokenPipeError:
                # The other end has failed, and says why.
                return None

    receiving = Background(receive, name="receive")
    with os.fdopen(reading, "rb") as stream:
        kept = keep(stream)
    receiving.result()
    return kept


def _write(stream: BinaryIO, chunk: bytes) -> None:
    """Write all of it: a pipe without a buffer may take a part."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[stream.write(rest) :]


def require_parts(connections: HostConnections, target: Host, about: BackupManifest, stack: str) -> None:
    """Raise DevError if the stack cannot take a backup: a volume or a release is missing, or room for it."""
    step = backup.restorable(connections.scripts, stack, about.size, about.names)
    outcome = answers.outcome(ask(connections, target, step, timeout=ASKING).output)
    if not outcome:
        raise HostError(target.name, f"could not restore it: {outcome.reason}", left_behind="nothing was changed")


def stage(connections: HostConnections, target: Host, path: Path, about: BackupManifest, stack: str) -> None:
    """Send a backup to the host, where it is unpacked beside the data of the stack. Raises DevError."""
    step = workspace.stage(connections.scripts, stack, about.size, about.names)

    def chunks() -> Iterator[bytes]:
        progress, count = shown(connections, target, "transferring", None, SUBJECT), 0
        for chunk in backup_file.gzipped(path):
            yield chunk
            count += len(chunk)
            progress(count)

    outcome = in_turn(connections, target, stack, lambda: fed(connections, target, step, workspace.STAGED, chunks()))
    if not outcome:
        raise HostError(target.name, f"could not restore it: {outcome.reason}", left_behind="nothing was changed")


def unpacked(
    connections: HostConnections, target: Host, stack: str, parts: tuple[PartSize, ...], token: str, stream: BinaryIO
) -> events.ScriptResult:
    """Unpack what another host packs into the volumes and the workspace of a stack that arrives with this token."""
    names, size = tuple(part.name for part in parts), sum(part.bytes for part in parts)
    step = workspace.stage(connections.scripts, stack, size, names)
    progress = shown(connections, target, "transferring", None, DATA)
    chunks = backup_stream.counted(backup_stream.checked(stream), progress)
    return fed(connections, target, step, workspace.STAGED, chunks, arrival=token)


def fed(
    connections: HostConnections,
    target: Host,
    step: Step,
    scripts: Iterable[str],
    chunks: Iterable[bytes],
    *,
    arrival: str = "",
) -> events.ScriptResult:
    """Run a script that reads a large file, and return how it ended; `chunks` are that file.

    `arrival` is the token of the move or the copy that it is part of.
    """
    frames = ((len(chunk), (chunk,)) for chunk in chunks)
    files = payload.about({"performer": connections.performer} | payload.arriving(arrival))
    feed = workspace.stream(connections.scripts, scripts, files, [lambda: frames])
    printer = EventPrinter(connections.output, target)
    limit = within(connections, target, LONGEST)
    return answers.outcome(connections.remote(target).run(step, feed=feed, on_line=printer, timeout=limit).output)


def replace(
    project: Project, connections: HostConnections, target: Host, about: BackupManifest, stack: str
) -> events.ScriptResult:
    """Replace the data of a stack by what was staged. Raises DevError."""
    limits, performer = limits_of(project), connections.performer

    def step(token: str) -> Step:
        return backup.replace(connections.scripts, token, stack, about.names, limits, performer=performer)

    def change() -> events.ScriptResult:
        return follow(connections, target, step, timeout=LONGEST)

    outcome = in_turn(connections, target, stack, change)
    if error := failure(target, outcome, "restore it"):
        raise error
    return outcome


def failure(target: Host, outcome: events.ScriptResult, what: str) -> HostError | None:
    """Return why a backup or a restore failed, with what it left behind."""
    if outcome:
        return None
    name = target.name
    # Nothing that its services print says why nothing was changed.
    looks = f"`dev logs {name}` shows its output; `dev status {name}` shows its containers"
    hint = "" if outcome.state == "kept" else looks
    if outcome.state == "unfinished":
        return LifecycleFailed(name, outcome.reason, left_behind="its containers are running")
    kind = ServiceFailed if outcome.failed else HostError
    return kind(name, f"could not {what}: {outcome.reason}", left_behind=_BEHIND.get(outcome.state, ""), hint=hint)


_BEHIND = {
    "kept": "nothing was changed",
    "failed": "its services are running again; its data was not changed",
    "reverted": "its services are running again with the data that they had before",
    "broken": "not all of its services are running",
    "": "its state is unknown",
}


def limits_of(project: Project) -> StartLimits:
    """Return how long services may take to come up."""
    settings = project.config.deploy
    return StartLimits(settings.timeout, settings.window, settings.restarts)


def shown(
    connections: HostConnections, target: Host, phase: Phase, total: int | None, subject: str = ""
) -> Callable[[int], None]:
    """Return what shows the progress of a phase, every few megabytes."""
    last = 0

    def progress(count: int) -> None:
        nonlocal last
        if count - last >= SHOWN_EVERY:
            last = count
            connections.output.progress(phase, count, total, "bytes", target, subject=subject)

    return progress
