"""The story of `dev restore`: a backup replaces the data of a stack, which is kept until the stack is up with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from kamal_dev.commands.backup import BackupManifest
from kamal_dev.errors import Declined, DevError, UsageError
from kamal_dev.model import Host, short
from kamal_dev.output import Output
from kamal_dev.output.units import size
from kamal_dev.pipeline.backup import SavedBackup, note
from kamal_dev.pipeline.hosts.backing_up import SUBJECT, replace, require_parts, shown, stage
from kamal_dev.pipeline.hosts.target import running
from kamal_dev.pipeline.run.asking import Agree
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.project import Project, backup_file


def restore(
    project: Project,
    connections: HostConnections,
    stacks: Mapping[str, Host],
    hooks: Hooks,
    name: str,
    path: Path,
    agree: Agree,
) -> SavedBackup:
    """Check a backup, ask, send it, and replace the data of the stack. Raises DevError; the data is then as before."""
    began, output = time.monotonic(), connections.output
    name, target = running(stacks, name, project.config.service)
    about = _checked(connections, path, name, target, project.config.service)
    _confirm(output, name, target, about, agree)
    try:
        sending = time.monotonic()
        output.start("transferring", SUBJECT, target)
        stage(connections, target, path, about, name)
        output.done("transferring", SUBJECT, target, seconds=time.monotonic() - sending)
        outcome = replace(project, connections, target, about, name)
    except DevError as error:
        note(project, connections, "restore", StackResult(name, target.address, "failed", error=error), began)
        raise
    result = StackResult(name, target.address, "restored", running=outcome.version, containers=outcome.containers)
    # Without containers nothing was started: the stack is stopped.
    if outcome.containers:
        result = hooks.checked(result, target, left_behind="its services are running with the restored data")
    note(project, connections, "restore", result, began)
    if result.error:
        raise result.error
    return SavedBackup(path, about, time.monotonic() - began)


def _checked(connections: HostConnections, path: Path, stack: str, target: Host, service: str) -> BackupManifest:
    """Return the manifest of a backup that is whole. Raises DevError, also for one that the stack cannot take."""
    about = backup_file.described(path)
    if about.service != service:
        raise UsageError(
            f"{path} is a backup of `{about.service}`, and this project is `{service}`",
            hint="run `dev restore` in the repository in which it was created",
        )
    require_parts(connections, target, about, stack)
    connections.output.start("checking", str(path), target)
    backup_file.check(path, about, shown(connections, target, "checking", about.size, str(path)))
    connections.output.done("checking", str(path), target)
    return about


def _confirm(output: Output, name: str, target: Host, about: BackupManifest, agree: Agree) -> None:
    """Say what is replaced by what, and ask. Raises Declined."""
    parts = ", ".join(part.removeprefix("volumes/") for part in about.names)
    output.info(f"The backup was made at {about.created_at} with version {short(about.version)}", target)
    if about.stack != name:
        output.warn(f"this is a backup of another stack: `{about.stack}`", target)
    if not agree(f"Replace {parts} ({size(about.size)}) of {name}?"):
        raise Declined
