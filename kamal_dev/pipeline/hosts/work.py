"""Copy the uncommitted changes in the workspace of a stack to that of another."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kamal_dev.commands import answers, events, payload, workspace
from kamal_dev.errors import HostError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.backing_up import fed
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.project import Project, backup_stream, temporary
from kamal_dev.shell import Receiver

RECEIVING = 3600.0
LONGEST = 1 << 16  # bytes to read of an answer


@contextmanager
def changes(project: Project, connections: HostConnections, source: Host, stack: str) -> Iterator[Path]:
    """Provide a file with what differs from the last commit in the workspace of a stack. Raises HostError."""
    with temporary.folder("changes", project.private()) as folder:
        path = Path(folder) / "patch"
        outcome = in_turn(connections, source, stack, lambda: _receive(project, connections, source, stack, path))
        if not outcome:
            raise HostError(source.name, f"could not copy its uncommitted work: {outcome.reason}")
        yield path


def _receive(
    project: Project, connections: HostConnections, source: Host, stack: str, path: Path
) -> events.ScriptResult:
    shell, folder = connections.remote(source), project.source.repository.name
    assert isinstance(shell, Receiver)
    step = workspace.changes(connections.scripts, stack, folder)
    feed = workspace.stream(connections.scripts, workspace.FETCHED, payload.performed(connections.performer))
    with path.open("wb") as file:
        result = shell.receive(step, file.write, feed=feed, timeout=RECEIVING)
    if result:
        return events.ScriptResult(ok=True)
    with path.open("rb") as answer:
        return answers.outcome(answer.read(LONGEST).decode(errors="replace"))


def patch(
    connections: HostConnections, target: Host, stack: str, folder: str, path: Path, token: str
) -> events.ScriptResult:
    """Apply such a file to a folder of the workspace of a stack that waits for the copy with this token."""
    step = workspace.patch(connections.scripts, stack, folder)
    with path.open("rb") as file:
        chunks = backup_stream.chunks(file)
        return fed(connections, target, step, workspace.PATCHED, chunks, arrival=token)
