"""The story of `dev backup`: the volumes and the workspace of a stack become one file on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from kamal_dev import __version__
from kamal_dev.commands.backup import RUNNING, STOPPED, BackupManifest, parts_of
from kamal_dev.commands.hooks import BACKUP
from kamal_dev.errors import DevError
from kamal_dev.model import Container, Host
from kamal_dev.output import Output
from kamal_dev.output.summary import BackupPartSummary, BackupSummary, RunSummary, taken
from kamal_dev.output.units import size
from kamal_dev.pipeline.hosts.backing_up import Packing, shown
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.project import Project, backup_file, source
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class SavedBackup:
    """Hold a backup on this machine."""

    path: Path
    manifest: BackupManifest
    seconds: float = 0.0

    def __str__(self) -> str:
        parts = ", ".join(f"{part.name.removeprefix('volumes/')} ({size(part.bytes)})" for part in self.manifest.parts)
        return f"{self.path}  {size(self.path.stat().st_size)}: {parts}"

    def result(self, verb: str) -> RunSummary:
        """Return it for `--json`."""
        about = self.manifest
        parts = tuple(taken(BackupPartSummary, part) for part in about.parts)
        file = BackupSummary(
            str(self.path.absolute()),
            self.path.stat().st_size,
            about.stack,
            about.service,
            about.version,
            about.created_at,
            parts,
        )
        return RunSummary(verb, ok=True, exit_code=0, seconds=round(self.seconds, 3), backup=file)


def backup(
    project: Project,
    connections: HostConnections,
    stacks: Mapping[str, Host],
    hooks: Hooks,
    name: str,
    volumes: tuple[str, ...] = (),
    output: Path | None = None,
) -> SavedBackup:
    """Save the parts of a stack, all unless some are named. Its services stop meanwhile, unless a hook prepares them.

    Raises DevError; no file is left then.
    """
    began, now = time.monotonic(), datetime.now(timezone.utc)
    name, target = running(stacks, name, project.config.service)
    path = backup_file.available(output or Path(f"{name}-{now:%Y%m%dT%H%M%SZ}.tar.zst"))
    is_prepared = hooks.has(BACKUP)
    hooks.before(BACKUP, {name: target}, left_behind="nothing was backed up; no service was stopped")
    about = BackupManifest(
        name,
        project.config.service,
        str(project.version),
        f"{now:%Y-%m-%dT%H:%M:%SZ}",
        f"kamal-dev {__version__}",
    )
    how = RUNNING if is_prepared else STOPPED
    try:
        manifest, started = _saved(project, connections, target, about, path, parts_of(volumes), how)
    except DevError as error:
        note(project, connections, "backup", StackResult(name, target.address, "failed", error=error), began)
        raise
    result = StackResult(name, target.address, "backed up", containers=started)
    # Without containers nothing was stopped and started again.
    if started:
        result = hooks.checked(result, target, left_behind=f"the backup is complete: {path}")
    note(project, connections, "backup", result, began)
    if result.error:
        raise result.error
    return SavedBackup(path, manifest, time.monotonic() - began)


def _saved(
    project: Project,
    connections: HostConnections,
    target: Host,
    about: BackupManifest,
    path: Path,
    parts: tuple[str, ...],
    how: str,
) -> tuple[BackupManifest, tuple[Container, ...]]:
    """Write the file; return its manifest, and the containers that were started again. Raises DevError."""

    def save(stream: BinaryIO) -> BackupManifest:
        return backup_file.save(path, stream, about, shown(connections, target, "backing_up", None))

    packing = Packing(project, connections, target, about.stack, save)
    try:
        manifest = packing.run(parts, how=how, done=f"The backup is complete: {path}")
    except BaseException:
        # After an interrupt, the other thread has no time to do it.
        if packing.is_cut_off:
            backup_file.discard(path)
        raise
    return manifest, packing.started


def warn_of_source(project: Project, shell: Shell, output: Output, path: Path) -> None:
    """Warn if a file that `dev` wrote is part of the next deploy, like any file of the repository."""
    if source.includes(project.source, shell, path):
        output.warn(
            f"{path} is in the repository: the next deploy would build it into images and send it to hosts",
            hint="move it, or add it to .gitignore and .dockerignore",
        )


def note(project: Project, connections: HostConnections, verb: str, result: StackResult, began: float) -> None:
    """Record how it ended; `began` is a monotonic time."""
    seconds = time.monotonic() - began
    history.note(project, connections.output, connections.performer, verb, (result,), seconds)
