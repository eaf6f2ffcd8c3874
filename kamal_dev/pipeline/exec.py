"""The story of `dev exec`: run a command in the containers of one or several stacks in parallel."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kamal_dev.errors import Declined, DevError, UsageError
from kamal_dev.model import Host, Step
from kamal_dev.pipeline.hosts.stack_projects import Projects, chosen, having, projects
from kamal_dev.pipeline.hosts.target import running, service_of
from kamal_dev.pipeline.run.asking import Agree
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.ssh import entering
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each
from kamal_dev.shell.session import Session
from kamal_dev.values import dataclass

OnOutput = Callable[[str, str], None]


@dataclass(frozen=True)
class ExecTarget:
    """Hold where a command runs: in which stacks, and in which service (empty for the main one).

    `projects` are those of the stacks.
    """

    stacks: Mapping[str, Host]
    projects: Projects
    service: str = ""

    @property
    def is_one(self) -> bool:
        """Whether it is a single stack, which may have a terminal."""
        return len(self.stacks) == 1


def where(
    project: Project,
    connections: HostConnections,
    stacks: Mapping[str, Host],
    words: tuple[str, ...],
    service: str,
    agree: Agree,
) -> ExecTarget:
    """Return the stacks and the service that `words` name.

    Raises UsageError for other words, and Declined if the user refuses to run it in all stacks.
    """
    known = projects(project, connections, stacks)
    selection = chosen(project, known, words, (service,) if service else ())
    if len(selection.services) > 1:
        raise UsageError(f"a command runs in one service, not in {', '.join(selection.services)}")
    if not stacks:
        raise UsageError("there is no stack", hint="`dev deploy` creates one")
    names = selection.stacks or having(known, selection.services)
    if not selection.stacks and len(names) > 1 and not agree(f"Run the command in {', '.join(names)}?"):
        raise Declined
    return ExecTarget({name: stacks[name] for name in names}, known, "".join(selection.services))


def session(connections: HostConnections, target: ExecTarget, command: tuple[str, ...], terminal: str) -> Session:
    """Return the session that runs the command in one stack, connected to the streams of this process."""
    ((name, _),) = target.stacks.items()
    name, host = running(target.stacks, name)
    project = target.projects[name]
    words = entering(project, connections, name, host, command, service_of(project, target.service), terminal)
    return Session.of(host.name, connections.way(host), words, has_terminal=bool(terminal))


def run_in_all(
    connections: HostConnections,
    target: ExecTarget,
    command: tuple[str, ...],
    on_output: OnOutput,
    *,
    detach: bool = False,
) -> int:
    """Run the command in every stack; return the highest exit code, at least 1 if a stack was not reached.

    `on_output` gets the stack and a line that the command printed, on stdout or stderr; stdin is empty.
    """

    def work(name: str) -> int:
        stack, host = running(target.stacks, name)
        project = target.projects[stack]
        service = service_of(project, target.service)
        words = entering(project, connections, stack, host, command, service, detach=detach)
        step = Step(words, label=f"exec in {target.service or project.main}")
        return connections.remote(host).run(step, on_line=lambda line: on_output(stack, line)).exit_code

    ended = each(target.stacks, work, limit=connections.limit)
    for name, code in zip(target.stacks, ended, strict=True):
        if isinstance(code, DevError):
            connections.output.fail("connecting", code, name)
        elif code:
            connections.output.info(f"exit code {code}", name)
    return max(1 if isinstance(code, DevError) else code for code in ended)
