"""Undo the move of a stack that is not complete: remove what has arrived, and start what was stopped."""

from __future__ import annotations

from kamal_dev.commands import answers, carrying, events, host
from kamal_dev.errors import HostError, HostUnreachable, NoAnswer
from kamal_dev.model import Host, Step
from kamal_dev.pipeline.hosts.lock_wait import in_turn
from kamal_dev.pipeline.hosts.scripts import EventPrinter, ask
from kamal_dev.pipeline.run.connections import HostConnections

REMOVING = 300.0
HERE = "here"  # the state of a stack that has arrived completely, see host/remove.sh


def undo_move(connections: HostConnections, source: Host, stack: str, outcome: events.ScriptResult) -> None:
    """Make a stack belong to the host that it was leaving, and start what the move has stopped there.

    The other host is asked first: if the stack has arrived completely, it is removed from `source`. Raises HostError
    then, and if the stack may run on a host that does not answer. On the host that it was moved to, what has arrived is
    removed.
    """
    if outcome.state == host.ARRIVING:
        discard_arriving(connections, source, stack)
        connections.output.info("Removed what a move that was not complete has left", source)
        return
    destination = next((item for item in connections.machines() if item.name == outcome.destination), None)
    is_sealed = outcome.state == MAY_RUN
    try:
        if destination is None:
            raise HostUnreachable(outcome.destination, "`provider.hosts` does not list it")
        has_arrived = discard_arriving(connections, destination, stack)
    except (HostUnreachable, NoAnswer) as error:
        if is_sealed:
            message = f"{stack} was being moved to {outcome.destination} and may run there: {error.message}"
            raise HostUnreachable(source.name, message, hint="make that host reachable, and list it") from error
        has_arrived = False
        connections.output.info(f"{outcome.destination} may have data of {stack}: {error.message}", source)
    if has_arrived:
        removed(connections, source, stack)
        message = f"{stack} was moved to {outcome.destination}"
        raise HostError(source.name, message, hint="run the command again", left_behind="removed it from the old host")
    back(connections, source, stack)
    connections.output.info(f"Undid a move to {outcome.destination} that was not complete", source)


MAY_RUN = "moved"


def back(connections: HostConnections, source: Host, stack: str) -> None:
    """End the record of a move on the host that the stack was leaving, and start what it has stopped."""
    step = carrying.step(connections.scripts, stack, "back", "any", performer=connections.performer)
    ended = _changed(connections, source, stack, step)
    if not ended:
        message = f"could not start what the move has stopped: {ended.reason}"
        raise HostError(source.name, message, hint=f"`dev start {stack}`")


def discard_arriving(connections: HostConnections, destination: Host, stack: str, token: str = "") -> bool:
    """Remove what a move or a copy has not completed there; return whether the stack is complete. Raises HostError.

    With a `token`, nothing of another copy is removed.
    """
    by = connections.performer
    step = host.remove(connections.scripts, stack, move=host.ARRIVING, arrival=token, performer=by)
    return _removed(connections, destination, stack, step).state == HERE


def removed(connections: HostConnections, source: Host, stack: str) -> None:
    """Remove a stack from the host that it was moved away from. Raises HostError."""
    step = host.remove(connections.scripts, stack, move=host.MOVED, performer=connections.performer)
    _removed(connections, source, stack, step)


def _removed(connections: HostConnections, target: Host, stack: str, step: Step) -> events.ScriptResult:
    ended = _changed(connections, target, stack, step)
    if not ended:
        raise HostError(target.name, f"{stack} could not be removed: {ended.reason}")
    return ended


def _changed(connections: HostConnections, target: Host, stack: str, step: Step) -> events.ScriptResult:
    printer = EventPrinter(connections.output, target)

    def change() -> events.ScriptResult:
        return answers.outcome(ask(connections, target, step, timeout=REMOVING, on_line=printer).output)

    return in_turn(connections, target, stack, change)
