"""Find the stack that a verb is about, and its container."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from kamal_dev import devcontainer
from kamal_dev.commands import answers, host
from kamal_dev.commands.stacks import RunningContainer
from kamal_dev.devcontainer import Devcontainer
from kamal_dev.errors import HostError, HostUnreachable, UsageError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.operating import start
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import of_project, restrict
from kamal_dev.project import Project

ASKING = 30.0
# The states that `host/observe.sh` names, as the end of a sentence about a container that cannot be entered.
_NOT_UP = {
    "created": "it was never started",
    "restarting": "it ended and is being restarted",
    "exited": "it exited",
    "paused": "it is paused",
    "removing": "it is being removed",
    "dead": "Docker could not remove it",
}


def one(stacks: Mapping[str, Host], name: str | None, service: str = "") -> tuple[str, Host]:
    """Return the stack of this name and its host; without a name, the only stack.

    The name may be given without the project's `service`.

    Raises UsageError with a suggestion if there is no such stack, or several without a name.
    """
    if name:
        matching = restrict(stacks, (name,), service)
        if len(matching) > 1:
            raise UsageError(f"`{name}` matches several stacks: choose one", hint=f"they are: {', '.join(matching)}")
        (name,) = matching
    elif not stacks:
        raise UsageError("there is no stack", hint="`dev deploy` creates one")
    elif len(stacks) > 1:
        raise UsageError("there are several stacks: choose one", hint=f"known: {', '.join(stacks)}")
    else:
        (name,) = stacks
    return name, stacks[name]


def several(stacks: Mapping[str, Host], project: Project, names: tuple[str, ...]) -> dict[str, Host]:
    """Return the stacks that `names` match, by name or as globs; without names, all.

    Raises UsageError if there is none.
    """
    chosen = of_project(stacks.items(), project, names)
    if not chosen:
        raise UsageError("there is no stack", hint="`dev deploy` creates one")
    return chosen


def running(stacks: Mapping[str, Host], name: str | None, service: str = "") -> tuple[str, Host]:
    """Return the stack and host like `one`. Raises HostUnreachable if the host is switched off."""
    name, target = one(stacks, name, service)
    if not target.address:
        raise HostUnreachable(name, "the host is not running or does not answer", hint=f"`dev deploy {name}` starts it")
    return name, target


def service_of(project: Project, service: str) -> str:
    """Return the service to look for, empty for the main one. Raises UsageError if the project does not have it."""
    known = project.service_names
    if service and service not in known:
        near = difflib.get_close_matches(service, known, n=1)
        hint = f"did you mean `{near[0]}`?" if near else f"the services are: {', '.join(known)}"
        raise UsageError(f"there is no service `{service}`", hint=hint)
    return "" if service == project.main else service


def find(
    project: Project, connections: HostConnections, name: str, target: Host, service: str = ""
) -> RunningContainer:
    """Find the running container of a service (default: the main one). Raises HostError if none runs."""
    if not target.address:
        raise HostUnreachable(name, "the host is not running or does not answer", hint=f"`dev deploy {name}` starts it")
    container, what = _place(connections, name, target, service), f"`{service or project.main}`"
    if container and container.state != "running" and container.stopped:
        connections.output.info("Starting it, because it was stopped", target, phase="starting")
        start(project, connections, name, target, (service or project.main,))
        container = _place(connections, name, target, service)
    if container is None:
        reason = f"the stack has no container of {what}"
        raise HostError(name, reason, hint=f"`dev deploy {name}` brings it up")
    if container.state != "running":
        raise HostError(
            name,
            f"the container of {what} is not up: {_NOT_UP.get(container.state, container.state)}",
            hint=f"`dev status {name}` shows why; `dev deploy {name}` brings it up",
        )
    return container


def _place(connections: HostConnections, name: str, target: Host, service: str) -> RunningContainer | None:
    output = output_of(connections, target, host.place(connections.scripts, name, service), timeout=ASKING)
    return answers.place(output)


def described(project: Project, place: RunningContainer) -> Devcontainer:
    """Return the devcontainer with what the main container's image adds. Raises DevcontainerError."""
    own = project.devcontainer
    metadata = devcontainer.entries(place.metadata, place.image)
    return devcontainer.merged(own, metadata, place.image, project.environment)
