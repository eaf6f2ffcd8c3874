"""Send the source to workspaces, and report what happened to it. What people changed there is never overwritten."""

from __future__ import annotations

import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path

from kamal_dev.commands import answers, events, payload
from kamal_dev.commands import workspace as commands
from kamal_dev.commands.facts import Facts, Record
from kamal_dev.errors import DevError, HostError, hint_for
from kamal_dev.model import File, Host, Result, Step
from kamal_dev.pipeline.hosts.clone import Clone, Known
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.rendering import render_release
from kamal_dev.pipeline.hosts.scripts import EventPrinter, again, within
from kamal_dev.pipeline.hosts.transfer import chunks
from kamal_dev.pipeline.images.engine import last_line
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project, temporary
from kamal_dev.project.source import files
from kamal_dev.shell.fanout import Background
from kamal_dev.shell.local import Local

SENDING = 7200.0


class Workspace:
    """Bring the source to hosts; it is read and packed once for all of them, for the first host that needs it.

    `arrival` is the token of the copy that the new stacks wait for, if there is one.
    """

    def __init__(self, project: Project, tools: LocalTools, connections: HostConnections, arrival: str = "") -> None:
        self._arrival = arrival
        self._project = project
        self._tools = tools
        self._connections = connections
        self._packing = threading.Lock()
        self._packed: Path | None = None

    @property
    def folder(self) -> str:
        """The folder of the repository in a workspace."""
        return self._project.source.repository.name

    @cached_property
    def clone(self) -> Clone:
        """The settings of a clone on a host."""
        return Clone(self._project, self._tools, self._project.withheld)

    @property
    def _about(self) -> tuple[File, ...]:
        return payload.about({"performer": self._connections.performer} | payload.arriving(self._arrival))

    def was_sent(self, record: Record | None, *, is_quick: bool = False) -> bool:
        """Return whether a host's record is of exactly this source; with `is_quick`, without reading the repository."""
        return self._project.workspace_source == "git" and self.clone.was_sent(record, is_quick=is_quick)

    def read_ahead(self) -> None:
        """Read the repository while the host is observed; the first use waits for it and raises its errors."""
        if self._project.workspace_source == "git":
            Background(self.clone.read_ahead)

    def send(self, target: Host, stack: str, facts: Facts, *, force: bool = False) -> str:
        """Bring the stack's workspace to the source, by git or as files, as `workspace.source` says.

        Returns what happened: `new`, `moved`, `same` or `skipped` (people have changed it). `force` discards what
        people did, after a backup. Raises HostError if the source does not arrive, DevError if it cannot be read.
        """
        is_empty = self.folder not in facts.workspace
        if is_empty and facts.workspace:
            self._warn_of_others(target, stack, facts)
        if self._project.workspace_source == "sync":
            return self._seed(target, stack, force=force)
        return self._send(target, stack, facts, is_empty=is_empty, force=force)

    def step(self, stack: str, *, force: bool = False) -> Step:
        """Return the step that brings a workspace to the source; the source itself is sent on stdin."""
        is_seed = self._project.workspace_source == "sync"
        return (commands.seed if is_seed else commands.bring)(
            self._connections.scripts, stack, self.folder, force=force
        )

    def _warn_of_others(self, target: Host, stack: str, facts: Facts) -> None:
        """Say where people have worked so far: a clone in a folder of another name would hide their work."""
        used = render_release(self._project, stack, mask=True).workspace
        if others := [name for name in facts.workspace if name not in used]:
            named = " and ".join(f"`{name}`" for name in others)
            is_pulled = self._project.workspace_source == "git"
            self._tools.output.warn(
                f"{target.name}: the workspace of {stack} there is in {named}; the local folder is called "
                f"`{self.folder}`, so it gets a new one, and its containers no longer see the other. Nothing was "
                f"removed: deploy from a folder called `{others[0]}` to keep using it"
                + (f"; `dev pull {stack}` from there then fetches it" if is_pulled else "")
            )

    def _send(self, target: Host, stack: str, facts: Facts, *, is_empty: bool, force: bool) -> str:
        connections = self._connections
        step = self.step(stack, force=force)
        connections.output.start("sending_source", "", target)

        def send(known: tuple[Known, ...]) -> events.ScriptResult:
            packed = self.clone.packed(known)
            files, packs = (
                (*self._about, *packed.files),
                [pack.frames for pack in packed.packs],
            )

            def attempt() -> Result:
                feed = commands.stream(connections.scripts, commands.SENT, files, packs)
                remaining = within(connections, target, SENDING)
                return connections.remote(target).run(
                    step, feed=feed, on_line=EventPrinter(connections.output, target), timeout=remaining
                )

            ended = again(connections, target.name, attempt)
            packed.require_whole()
            return _outcome(ended)

        started = time.monotonic()
        result = in_turn(connections, target, stack, lambda: send(() if is_empty else self.clone.known(facts)))
        if result.state == "missing":
            result = in_turn(connections, target, stack, lambda: send(()))
        _require(target, result)
        if result.backup:
            connections.output.info(f"Kept the previous files in `{result.backup}`", target, phase="sending_source")
        if result.state == "skipped":
            return self._left(target, stack, result.reason)
        self._sent(target, result.state, time.monotonic() - started)
        return result.state

    def _sent(self, target: Host, state: str, seconds: float) -> None:
        output = self._tools.output
        if state in ("new", "moved"):
            output.done("sending_source", "", target, seconds=seconds)
        else:
            output.skip("sending_source", "", target, seconds=seconds)

    def _left(self, target: Host, stack: str, reason: str) -> str:
        advice = f"`dev pull {stack}` fetches the changes, `dev sync {stack} --force` discards them"
        self._tools.output.info(f"{reason}; not updated: {advice}", target, phase="sending_source")
        return "skipped"

    def _seed(self, target: Host, stack: str, *, force: bool) -> str:
        connections = self._connections
        step = self.step(stack, force=force)
        connections.output.start("sending_source", "", target)

        def attempt() -> Result:
            path = self._pack()
            feed = commands.stream(connections.scripts, commands.SEEDED, self._about, [partial(_whole, path)])
            return connections.remote(target).run(step, feed=feed, timeout=within(connections, target, SENDING))

        started = time.monotonic()
        result = in_turn(connections, target, stack, lambda: _outcome(again(connections, target.name, attempt)))
        _require(target, result)
        if result.backup:
            connections.output.info(f"Kept the previous files in `{result.backup}`", target, phase="sending_source")
        if result.state == "new":
            self._sent(target, result.state, time.monotonic() - started)
        return result.state

    def _pack(self) -> Path:
        with self._packing:
            if self._packed is None:
                private = self._project.private()
                folder = self._tools.resources.enter_context(temporary.folder("packs", private))
                path = folder / "source.tar.gz"
                try:
                    self._write(path)
                except OSError as error:
                    raise DevError(
                        f"could not pack the source: {error.filename or path}: {error.strerror or error}",
                        hint=hint_for(error, "deploy again when no program is changing the files"),
                    ) from error
                self._packed = path
            return self._packed

    def _write(self, path: Path) -> None:
        root = self._project.source.repository
        assert isinstance(self._tools.shell, Local)
        with tarfile.open(path, "w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar:
            for name in files(self._project.source, self._tools.shell):
                if not self._project.withheld.hides(name):
                    self._add(tar, root / name, name)

    def _add(self, tar: tarfile.TarFile, path: Path, name: str) -> None:
        """Add a file; a file deleted since git listed it is skipped, an unreadable one is withheld."""
        try:
            tar.add(path, arcname=name, recursive=False)
        except FileNotFoundError:
            return
        except PermissionError as error:
            self._tools.output.warn(f"{name}: cannot be read ({error.strerror}) and is not sent to workspaces")


def _whole(path: Path) -> Iterator[tuple[int, Iterator[bytes]]]:
    yield path.stat().st_size, chunks(path)


def _outcome(result: Result) -> events.ScriptResult:
    """Return how the script ended; if it did not say, its last lines are the reason."""
    ended = answers.outcome(result.output)
    return ended if ended.phase or ended else replace(ended, reason=last_line(result.tail()))


def _require(target: Host, result: events.ScriptResult) -> None:
    if not result:
        raise HostError(
            target.name,
            f"could not send the source: {result.reason}",
            hint="run `df -h ~` on the host; if it has no git, set `workspace.source: sync`",
            left_behind="the workspace may be partly updated"
            if result.state == "failed"
            else "the workspace was not changed",
        )
