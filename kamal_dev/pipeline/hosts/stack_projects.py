"""Read what the releases of named stacks say of their projects: the one where `dev` runs may have other services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kamal_dev.commands import answers, host
from kamal_dev.compose import listing
from kamal_dev.devcontainer import released
from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.scripts import output_of
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.names import Selection, is_numbered, select, suggestion
from kamal_dev.project import Project
from kamal_dev.shell.fanout import each

ASKING = 30.0

Projects = Mapping[str, Project]


def projects(project: Project, connections: HostConnections, stacks: Mapping[str, Host]) -> dict[str, Project]:
    """Return the project of each stack, by name.

    The services and the devcontainer of a named stack are those of its release; each host is asked once, unless it has
    sent them with its stacks. Without an answer, or a release that describes them, they are those of `project`, like
    those of numbered stacks.
    """
    named = {name: target for name, target in stacks.items() if not is_numbered(project, name)}
    unknown = {name: target for name, target in named.items() if name not in connections.manifests and target.address}
    connections.manifests.update(_asked(connections, unknown))
    return {name: _of_release(project, connections.manifests.get(name, {}) if name in named else {}) for name in stacks}


def _asked(connections: HostConnections, stacks: Mapping[str, Host]) -> dict[str, Mapping[str, Any]]:
    by_machine: dict[Host, list[str]] = {}
    for name, target in stacks.items():
        by_machine.setdefault(replace(target, name=""), []).append(name)

    def one(names: list[str]) -> Mapping[str, Mapping[str, Any]]:
        step = host.manifests(connections.scripts, names)
        return answers.manifests(output_of(connections, stacks[names[0]], step, timeout=ASKING))

    known: dict[str, Mapping[str, Any]] = {}
    for names, answer in zip(by_machine.values(), each(by_machine.values(), one, limit=connections.limit), strict=True):
        if not isinstance(answer, DevError):
            known |= {name: answer.get(name, {}) for name in names}
    return known


def _of_release(project: Project, manifest: Mapping[str, Any]) -> Project:
    """Return the project with the services and the devcontainer that a manifest describes."""
    entry, listed = manifest.get("devcontainer"), listing.read(manifest.get("listed"))
    if not isinstance(entry, dict) or not listed:
        return project
    images = manifest.get("images")
    if isinstance(images, dict):
        built = {name: image for name, image in images.items() if isinstance(image, str)}
        listed = tuple(replace(item, image=built.get(item.name, item.image)) for item in listed)
    own = released.described(project.devcontainer, entry, f"devcontainer.json of {manifest.get('ref', 'its release')}")
    return replace(project, devcontainer=own, listed=listed)


def service_names(known: Iterable[Project]) -> tuple[str, ...]:
    """Return the names of the services of all projects, each once."""
    return tuple(dict.fromkeys(name for project in known for name in project.service_names))


def chosen(project: Project, known: Projects, words: Iterable[str], services: Iterable[str] = ()) -> Selection:
    """Tell stacks from services in `words`; `services` are services. `known` are the projects of all stacks.

    Raises UsageError for a word that is neither, and for a stack among the words without one of the services.
    """
    names = service_names((project, *known.values()))
    select(services, (), names)
    selection = select(words, known, names, project.config.service)
    wanted = tuple(dict.fromkeys((*selection.services, *services)))
    for stack in selection.stacks:
        require_services(stack, known[stack], wanted)
    return Selection(selection.stacks, wanted)


def having(known: Projects, services: Iterable[str]) -> tuple[str, ...]:
    """Return the stacks that have all of the services. Raises UsageError if there is none."""
    wanted = tuple(services)
    stacks = tuple(stack for stack, project in known.items() if set(wanted) <= set(project.service_names))
    if known and not stacks:
        listed = ", ".join(f"`{name}`" for name in wanted)
        raise UsageError(f"no stack has {listed}", hint="`dev services NAME` lists the services of a stack")
    return stacks


def require_services(stack: str, project: Project, services: Iterable[str]) -> None:
    """Raise UsageError with a suggestion for a service that the stack does not have."""
    for service in services:
        if service not in project.service_names:
            raise UsageError(f"{stack} has no service `{service}`", hint=suggestion(service, project.service_names))
