"""Fill the volumes of a new stack with copies of another stack's, before anything of the new stack is started."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field, replace
from pathlib import Path
from typing import BinaryIO

from kamal_dev.commands import answers, backup, carrying, events
from kamal_dev.commands.stacks import PartSize
from kamal_dev.errors import DevError, HostError
from kamal_dev.model import Host, Release, Step
from kamal_dev.pipeline.hosts.backing_up import LONGEST, Packing, failure, limits_of, unpacked
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.moving import ASKING
from kamal_dev.pipeline.hosts.scripts import EventPrinter, ask, follow
from kamal_dev.pipeline.hosts.undoing import HERE, discard_arriving
from kamal_dev.pipeline.hosts.work import changes, patch
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.plan.volume_copy import CopiedStack, copying
from kamal_dev.project import Project
from kamal_dev.values import dataclass

EXISTS = "choose another name, or `dev remove` it first"


@dataclass(frozen=True, eq=False)
class Fork:
    """Hold the stack whose volumes are copied, and its host. `token` names the copy on both hosts.

    `is_prepared` runs the hook `backup` of the stack, and returns whether there is one: its services do not stop then.
    """

    project: Project
    copied: CopiedStack
    source: Host
    is_prepared: Callable[[], bool] = lambda: False
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def start_over(self, connections: HostConnections, target: Host, stack: str) -> None:
        """Remove what an earlier copy to the stack has left. Raises HostError."""
        discard_arriving(connections, target, stack)
        connections.output.info("Removed what a copy that was not complete has left", target)

    @contextmanager
    def expected(self, connections: HostConnections, target: Host, stack: str) -> Iterator[None]:
        """Keep a new stack from being started until the caller has filled its volumes.

        If the caller fails, what there is of the stack is removed. Raises HostError, also for a stack that exists.
        """
        self._step(connections, target, stack, "expect", self.copied.stack)
        try:
            yield
            self._step(connections, target, stack, "keep")
        except DevError as error:
            self._discard(connections, target, stack, error)
            raise

    @contextmanager
    def work(self, connections: HostConnections) -> Iterator[Callable[[Host, str, str], None]]:
        """Provide what applies the uncommitted work, if it is wanted, to the workspace of a new stack."""
        if not self.copied.with_work:
            yield lambda target, stack, folder: None
            return
        with changes(self.project, connections, self.source, self.copied.stack) as path:
            yield lambda target, stack, folder: self._patch(connections, target, stack, folder, path)

    def _patch(self, connections: HostConnections, target: Host, stack: str, folder: str, path: Path) -> None:
        subject = f"uncommitted work of {self.copied.stack}"
        if not path.stat().st_size:
            connections.output.info(f"{self.copied.stack} has no uncommitted work", target, phase="copying")
            return
        connections.output.start("copying", subject, target)
        if not (outcome := patch(connections, target, stack, folder, path, self.token)):
            hint = (
                f"commit it there and deploy that commit, or omit `--with-work` and use `dev pull {self.copied.stack}`"
            )
            raise HostError(target.name, f"the {subject} does not apply: {outcome.reason}", hint=hint)
        connections.output.done("copying", subject, target)

    def fill(self, connections: HostConnections, target: Host, release: Release) -> None:
        """Copy the volumes to a stack whose containers are created. Raises DevError; the source runs then."""
        parts = self.copied.parts_for(release)
        names = tuple(part.name for part in parts)
        step = backup.restorable(connections.scripts, release.stack, sum(part.bytes for part in parts), names)
        room = answers.outcome(ask(connections, target, step, timeout=ASKING).output)
        self._require(target, room)
        began, subject = time.monotonic(), _subject(self.copied, release)
        how = backup.RUNNING if self.is_prepared() else backup.STOPPED
        connections.output.start("copying", subject, target)
        if self._is_on(target):
            self._copy(connections, release.stack, names, how)
        else:
            self._send(connections, target, release.stack, parts, how)
        connections.output.done("copying", subject, target, seconds=time.monotonic() - began)

    def steps(self, connections: HostConnections, stack: str, volumes: tuple[str, ...]) -> Iterator[tuple[str, Step]]:
        """Yield the steps of the copy with the stack whose host runs each, as a deploy makes them."""
        yield stack, self._named(connections, stack, "expect", self.copied.stack)
        names = tuple(f"{backup.VOLUMES}{key}" for key in volumes)
        yield self.copied.stack, self._pack(connections, stack, names, backup.STOPPED)(self.token)
        yield stack, self._named(connections, stack, "keep")

    def _is_on(self, target: Host) -> bool:
        """Whether both stacks are on one host, which then copies the volumes by itself."""
        return replace(target, name="") == replace(self.source, name="")

    def _copy(self, connections: HostConnections, stack: str, names: tuple[str, ...], how: str) -> None:
        def change() -> events.ScriptResult:
            return follow(connections, self.source, self._pack(connections, stack, names, how), timeout=LONGEST)

        if error := failure(self.source, in_turn(connections, self.source, self.copied.stack, change), "copy its data"):
            raise error

    def _pack(
        self, connections: HostConnections, stack: str, names: tuple[str, ...], how: str
    ) -> Callable[[str], Step]:
        limits, by = limits_of(self.project), connections.performer
        about = (self.copied.stack, names, limits)
        return lambda token: backup.pack(
            connections.scripts, token, *about, how=how, copy=stack, arrival=self.token, performer=by
        )

    def _send(
        self, connections: HostConnections, target: Host, stack: str, parts: tuple[PartSize, ...], how: str
    ) -> None:
        def unpack(stream: BinaryIO) -> None:
            self._require(target, unpacked(connections, target, stack, parts, self.token, stream))

        packing = Packing(self.project, connections, self.source, self.copied.stack, unpack, copy=stack)
        packing.run(tuple(part.name for part in parts), how=how, done="The volumes were copied")

    def _require(self, target: Host, outcome: events.ScriptResult) -> None:
        if not outcome:
            raise HostError(target.name, f"could not take the volumes of {self.copied.stack}: {outcome.reason}")

    def _named(self, connections: HostConnections, stack: str, name: str, source: str = "") -> Step:
        return carrying.step(connections.scripts, stack, name, self.token, source, performer=connections.performer)

    def _step(self, connections: HostConnections, target: Host, stack: str, name: str, source: str = "") -> None:
        step, printer = self._named(connections, stack, name, source), EventPrinter(connections.output, target)

        def change() -> events.ScriptResult:
            return answers.outcome(ask(connections, target, step, timeout=ASKING, on_line=printer).output)

        if not (outcome := in_turn(connections, target, stack, change)):
            raise HostError(target.name, outcome.reason, hint=EXISTS if outcome.state == HERE else "")

    def _discard(self, connections: HostConnections, target: Host, stack: str, error: DevError) -> None:
        """Remove what there is of the new stack, and say in `error` what is left behind."""
        again = f"`dev deploy {stack} --from {self.copied.stack}`"
        try:
            is_complete = discard_arriving(connections, target, stack, self.token)
            remains = f"the volumes of {stack} are complete; `dev deploy {stack}` starts it" if is_complete else ""
        except DevError as reason:
            remains = f"a part of {stack}, which cannot be started ({reason.message}); {again} starts it again"
        own = error.left_behind and f"{self.copied.stack}: {error.left_behind}"
        error.left_behind = "; ".join(filter(None, (own, remains or f"nothing of {stack}")))


def _subject(copied: CopiedStack, release: Release) -> str:
    return copying(replace(copied, with_work=False), release).target
