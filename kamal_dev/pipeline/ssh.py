"""The story of `dev ssh`: find the container, prepare the environment, and return the command that enters it."""

from __future__ import annotations

import secrets
from dataclasses import replace

from kamal_dev.commands import host, inside
from kamal_dev.commands.stacks import RunningContainer
from kamal_dev.errors import HostError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.stack_projects import projects
from kamal_dev.pipeline.hosts.target import described, find, one, service_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from kamal_dev.shell.session import Session

KEEPING = 30.0


def ssh(run: Run, name: str | None, words: tuple[str, ...], *, service: str = "", terminal: str = "") -> Session:
    """Return the session that runs `words`, or a shell, in a stack's container.

    The main container is entered with the user, folder and environment of devcontainer.json, other services with
    their own. `terminal` is the terminal type of this process, empty for none. Nothing runs yet; the connection that
    looked for the container is still open.
    """
    name, target = one(run.stacks, name, run.project.config.service)
    about = projects(run.project, run.connections, {name: target})[name]
    command = entering(about, run.connections, name, target, words, service_of(about, service), terminal)
    return Session.of(target.name, run.way(target), command, has_terminal=bool(terminal))


def entering(
    project: Project,
    connections: HostConnections,
    name: str,
    target: Host,
    words: tuple[str, ...],
    service: str = "",
    terminal: str = "",
    *,
    detach: bool = False,
) -> tuple[str, ...]:
    """Return the host's command for entering a stack's container; with `detach`, it does not wait for `words`."""
    place = find(project, connections, name, target, service)
    entry = inside.ExecOptions(terminal=terminal) if service else _entry(project, connections, target, place, terminal)
    return inside.command(place, replace(entry, detach=detach), words, is_main=not service)


def _entry(
    project: Project, connections: HostConnections, target: Host, place: RunningContainer, terminal: str
) -> inside.ExecOptions:
    configuration = described(project, place)
    values, without, left_out = inside.environment(configuration.remote_env, place)
    for name in left_out:
        where = configuration.where("remoteEnv", name)
        connections.output.warn(
            f"{where}: `remoteEnv.{name}` is not set here: it has a line break or is not a valid name"
        )
    file = ""
    if values:
        step = host.environment(connections.scripts, secrets.token_hex(8), values)
        kept = connections.remote(target).run(step, timeout=KEEPING)
        file = kept.output.strip()
        if not kept or not file:
            raise HostError(target.name, f"could not store `remoteEnv` on the host: {kept.tail(1)}")
    return inside.ExecOptions(
        configuration.remote_user or configuration.container_user,
        configuration.workspace_folder,
        file,
        without,
        terminal,
    )
