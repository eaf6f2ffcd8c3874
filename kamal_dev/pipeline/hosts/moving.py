"""Carry a stack from one host to another, through this machine: nothing of it is stored here."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import field, replace
from typing import BinaryIO

from kamal_dev.commands import answers, backup, carrying, events, host, workspace
from kamal_dev.commands.facts import Facts
from kamal_dev.commands.stacks import Inventory
from kamal_dev.commands.survey import allot, allotted
from kamal_dev.errors import DevError, HostError, HostTimeout, NoAnswer, PullFailed, UsageError
from kamal_dev.model import Host, Step
from kamal_dev.pipeline.hosts.backing_up import Packing, fed, received, shown, unpacked
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.operating import operated
from kamal_dev.pipeline.hosts.scripts import ASKED, EventPrinter, ask, follow, output_of
from kamal_dev.pipeline.hosts.undoing import back, discard_arriving, removed
from kamal_dev.pipeline.images.tunnel import RegistryTunnel
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import index
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.plan.placement import at
from kamal_dev.plan.relocation import missing_images
from kamal_dev.project import Project, backup_stream
from kamal_dev.values import dataclass

ASKING, MEASURING, PULLING, SPARE = 300.0, 600.0, 3600.0, 300.0  # seconds
DATA = "take the data"


@dataclass(frozen=True)
class StackMove:
    """Hold one move of a stack: from where, to where, and what it has. `token` names it on both hosts."""

    project: Project
    connections: HostConnections
    stack: str
    source: Host
    destination: Host
    inventory: Inventory
    facts: tuple[Facts, Facts]
    tunnel: RegistryTunnel
    login: host.Login | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(8))

    def run(self, check: Callable[[Host], None]) -> StackResult:
        """Carry the stack, and return what runs. Raises DevError; it then belongs to the old host as before.

        `check` raises DevError if what runs on the new host is not healthy.
        """
        packing = Packing(self.project, self.connections, self.source, self.stack, self._unpacked)
        try:
            self._begin()
            self._prepare()
            packing.run((), how=self.token, done="")
            self._step(self.source, "seal")
            result = self._started()
            if self.inventory.running:
                check(at(self.destination, self.stack))
            self._step(self.destination, "keep")
        except BaseException as error:
            # What is still being packed is given up by the host, when this machine does not read it any longer.
            if isinstance(error, DevError) or not packing.is_cut_off:
                self._undo(error)
            raise
        return result

    def forget_source(self) -> None:
        """Remove the stack from the old host. Raises HostError."""
        removed(self.connections, self.source, self.stack)

    # --- the steps

    def _begin(self) -> None:
        discard_arriving(self.connections, self.destination, self.stack)
        self._step(self.source, "begin", self.destination.name)

    def _prepare(self) -> None:
        """Do everything that can be done while the stack runs on the old host."""
        connections, scripts = self.connections, self.connections.scripts
        connections.output.start("uploading", self.inventory.version, self.destination)

        def arrive(stream: BinaryIO) -> events.ScriptResult:
            step = workspace.arrive(scripts, self.stack, self.token)
            return fed(connections, self.destination, step, workspace.MOVED, backup_stream.chunks(stream))

        outcome = received(connections, self.source, carrying.carry(scripts, self.stack), arrive)
        self._require(outcome, "take the release")
        connections.output.done("uploading", self.inventory.version, self.destination)
        self._bring_images()
        self._create(self._allotted())
        # Images have taken some of it.
        self._require(
            answers.outcome(ask(connections, self.destination, self._restorable(), timeout=ASKING).output), DATA
        )

    def _restorable(self) -> Step:
        names = tuple(part.name for part in self.inventory.parts)
        return backup.restorable(self.connections.scripts, self.stack, self.inventory.size, names)

    def _bring_images(self) -> None:
        missing = missing_images(self.inventory, self.facts[1])
        if pulled := tuple(image for image in missing if "@" in image):
            self._pull(pulled)
        if sent := tuple(image for image in missing if "@" not in image):
            self._send(sent)

    def _pull(self, images: tuple[str, ...]) -> None:
        connections, target = self.connections, self.destination
        connections.output.start("pulling", ", ".join(images), target)

        def change() -> events.ScriptResult:
            return follow(
                connections,
                target,
                lambda token: host.pull(connections.scripts, token, images, self.login),
                timeout=PULLING,
            )

        outcome = self.tunnel.lent(target, change)
        if not outcome:
            raise PullFailed(target.name, outcome.reason, left_behind=BEHIND)
        connections.output.done("pulling", ", ".join(images), target)

    def _send(self, images: tuple[str, ...]) -> None:
        """Send images of the old host that no registry has."""
        connections, named = self.connections, ", ".join(images)
        connections.output.start("transferring", named, self.destination)

        def load(stream: BinaryIO) -> events.ScriptResult:
            progress = shown(connections, self.destination, "transferring", None, named)
            chunks = backup_stream.counted(backup_stream.chunks(stream), progress)
            shell, step = connections.remote(self.destination), host.load(connections.scripts)
            return answers.outcome(shell.run(step, feed=chunks, timeout=PULLING).output)

        step = carrying.save_images(connections.scripts, images)
        self._require(received(connections, self.source, step, load), f"load {named}")
        connections.output.done("transferring", named, self.destination)

    def _allotted(self) -> dict[str, tuple[str, str]]:
        """Let the new host allot the ports that the stack has on the old one; return both numbers, by name."""
        before = dict(port.rpartition(" ")[::2] for port in self.inventory.ports)
        if not before:
            return {}
        between = self.project.config.ports.of(index(self.project, self.stack))
        step = allot(self.connections.scripts, self.stack, between, before, self.inventory.ports)
        output = output_of(self.connections, self.destination, step, timeout=ASKING)
        after = dict(port.rpartition(" ")[::2] for port in allotted(output))
        return {name: (port, after.get(name, port)) for name, port in before.items()}

    def _create(self, ports: dict[str, tuple[str, str]]) -> None:
        connections, timeout = self.connections, self.project.config.deploy.timeout
        addresses = (self.source.address, self.destination.address)

        def step(token: str) -> Step:
            by = connections.performer
            return carrying.create(connections.scripts, token, self.stack, timeout, addresses, ports, performer=by)

        def change() -> events.ScriptResult:
            return follow(connections, self.destination, step, timeout=timeout + SPARE)

        self._require(in_turn(connections, self.destination, self.stack, change), "create its containers")

    def _unpacked(self, stream: BinaryIO) -> events.ScriptResult:
        """Unpack the volumes and the workspace on the new host while they are read on the old one."""
        parts = self.inventory.parts
        outcome = unpacked(self.connections, self.destination, self.stack, parts, self.token, stream)
        self._require(outcome, DATA)
        return outcome

    def _started(self) -> StackResult:
        """Start what ran on the old host. Raises DevError if it does not come up."""
        stopped = {*self.inventory.services} - {*self.inventory.running}
        services = () if not stopped else self.inventory.running
        # One-shots have ended on the old host, and others wait for them.
        if not self.inventory.running:
            return StackResult(self.stack, self.destination.address, "moved", running=self.inventory.version)
        result = operated(self.project, self.connections, self.stack, self.destination, "start", services)
        if result.error:
            raise result.error
        return replace(result, state="moved")

    def _step(self, target: Host, name: str, destination: str = "") -> None:
        connections = self.connections
        by = connections.performer
        step = carrying.step(connections.scripts, self.stack, name, self.token, destination, performer=by)
        printer = EventPrinter(connections.output, target)

        def change() -> events.ScriptResult:
            return answers.outcome(ask(connections, target, step, timeout=ASKING, on_line=printer).output)

        self._require(in_turn(connections, target, self.stack, change), "move it", target)

    def _require(self, outcome: events.ScriptResult, what: str, target: Host | None = None) -> None:
        if not outcome:
            raise HostError((target or self.destination).name, f"could not {what}: {outcome.reason}")

    # --- the way back

    def _undo(self, error: BaseException) -> None:
        """Remove what has arrived, and start what was stopped. Says in `error` what is left behind."""
        connections = self.connections
        behind = BEHIND
        try:
            if discard_arriving(connections, self.destination, self.stack):
                behind = f"{self.stack} was moved; `dev move {self.stack} --to {self.destination.name}` completes it"
            else:
                back(connections, self.source, self.stack)
                behind = self._judged() if isinstance(error, DevError) else BEHIND
        except DevError as reason:
            is_unknown = isinstance(error, HostTimeout)
            behind = f"the move was not undone ({reason.message}): `dev start {self.stack}` does that"
            behind += "; the state of the new host is unknown" if is_unknown else ""
        if isinstance(error, DevError):
            error.left_behind = behind

    def _judged(self) -> str:
        """Say how the stack is on the old host, where it was started again."""
        if not self.inventory.running:
            return BEHIND
        result = operated(self.project, self.connections, self.stack, self.source, "start", self.inventory.running)
        return f"the stack is on the old host, where {result.error.message}" if result.error else BEHIND


def inventory(connections: HostConnections, source: Host, stack: str) -> Inventory:
    """Ask what a stack has. Raises UsageError for a stack without a release, NoAnswer."""
    step = carrying.inventory(connections.scripts, stack)
    output = ask(connections, source, step, timeout=MEASURING).output
    outcome = answers.outcome(output)
    if outcome.state == "missing":
        raise UsageError(f"{stack}: {outcome.reason}", hint=f"`dev status {stack}` shows it")
    if not outcome or (listed := answers.inventory(output)) is None:
        raise NoAnswer(source.name, outcome.reason or "the host did not list what the stack has", hint=ASKED)
    return listed


BEHIND = "the stack is on the old host as before"
