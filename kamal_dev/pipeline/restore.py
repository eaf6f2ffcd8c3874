"""The story of `dev restore`: a backup replaces the data of a stack, which is kept until the stack is up with it."""

from __future__ import annotations

import time
from pathlib import Path

from kamal_dev.commands.backup import BackupManifest
from kamal_dev.errors import Declined, DevError, UsageError
from kamal_dev.model import Host
from kamal_dev.output.units import size
from kamal_dev.pipeline.backup import SavedBackup
from kamal_dev.pipeline.hosts.backing_up import replace, shown, stage
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.run import history
from kamal_dev.pipeline.run.asking import Agree
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import backup_file


def restore(run: Run, name: str, path: Path, agree: Agree) -> SavedBackup:
    """Check a backup, ask, send it, and replace the data of the stack. Raises DevError; the data is then as before."""
    began = time.monotonic()
    name, target = running(run.stacks, name)
    about = _checked(run, path, target)
    _confirm(run, name, target, about, agree)
    try:
        run.output.start("transferring", "the backup", target)
        stage(run.connections, target, path, about, name)
        run.output.done("transferring", "the backup", target)
        outcome = replace(run.project, run.connections, target, about, name)
    except DevError as error:
        _note(run, StackResult(name, target.address, "failed", error=error), time.monotonic() - began)
        raise
    seconds = time.monotonic() - began
    _note(run, StackResult(name, target.address, "restored", running=outcome.version), seconds)
    return SavedBackup(path, about, seconds)


def _checked(run: Run, path: Path, target: Host) -> BackupManifest:
    """Return the manifest of a backup that is whole. Raises DevError, also for a backup of another project."""
    about = backup_file.described(path)
    service = run.project.config.service
    if about.service != service:
        raise UsageError(
            f"{path} is a backup of `{about.service}`, and this project is `{service}`",
            hint="run `dev restore` in the repository that it was made in",
        )
    run.output.start("checking", str(path), target)
    backup_file.check(path, about, shown(run.connections, target, "checking", about.size))
    run.output.done("checking", str(path), target)
    return about


def _confirm(run: Run, name: str, target: Host, about: BackupManifest, agree: Agree) -> None:
    """Say what is replaced by what, and ask. Raises Declined."""
    parts = ", ".join(part.removeprefix("volumes/") for part in about.names)
    origin = f"`{about.stack}`" if about.stack != name else "it"
    run.output.info(f"The backup was made of {origin} at {about.created_at} with version {about.version}", target)
    if about.stack != name:
        run.output.warn(f"this is a backup of another stack: `{about.stack}`", target)
    if not agree(f"Replace {parts} ({size(about.size)}) of {name}?"):
        raise Declined


def _note(run: Run, result: StackResult, seconds: float) -> None:
    history.note(run.project, run.output, run.performer, "restore", (result,), seconds)
