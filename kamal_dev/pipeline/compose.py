"""The story of `dev compose`: run any Compose command on the release of one or several stacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kamal_dev.commands import compose as commands
from kamal_dev.commands.compose import ComposeCall
from kamal_dev.errors import Declined, DevError
from kamal_dev.model import Host, Step
from kamal_dev.pipeline.hosts.target import running, several
from kamal_dev.pipeline.run.asking import Agree
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each
from kamal_dev.shell.session import Session


def targets(
    project: Project, stacks: Mapping[str, Host], names: tuple[str, ...], call: ComposeCall, agree: Agree
) -> dict[str, Host]:
    """Return the stacks to run it on; asks first if all would change unnamed, or if data would be lost."""
    chosen = several(stacks, project, names)
    listed = ", ".join(chosen)
    words = " ".join(call.words)
    if call.question and not agree(f"Run `compose {words}` for {listed}, {call.question}?"):
        raise Declined
    if call.is_change and not names and not call.question and not agree(f"Run `compose {words}` for {listed}?"):
        raise Declined
    return chosen


def session(connections: HostConnections, stacks: Mapping[str, Host], call: ComposeCall, terminal: str) -> Session:
    """Return the session that runs Compose for one stack, connected to the streams of this process."""
    ((name, _),) = stacks.items()
    name, target = running(stacks, name)
    words = commands.compose(connections.scripts, name, call, connections.performer)
    return Session.of(target.name, connections.way(target), words, has_terminal=bool(terminal))


def run_in_all(
    connections: HostConnections, stacks: Mapping[str, Host], call: ComposeCall, on_output: Callable[[str, str], None]
) -> int:
    """Run Compose for every stack in parallel; return the highest exit code, at least 1 if a stack was not reached."""

    def work(name: str) -> int:
        stack, target = running(stacks, name)
        words = commands.compose(connections.scripts, stack, call, connections.performer)
        step = Step(words, label=f"compose {' '.join(call.words)}")
        return connections.remote(target).run(step, on_line=lambda line: on_output(stack, line)).exit_code

    ended = each(stacks, work, limit=connections.limit)
    for name, code in zip(stacks, ended, strict=True):
        if isinstance(code, DevError):
            connections.output.fail("connecting", code, name)
        elif code:
            connections.output.info(f"exit code {code}", name)
    return max(1 if isinstance(code, DevError) else code for code in ended)
