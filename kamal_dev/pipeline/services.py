"""The story of `dev services`: each service of the compose files, and the containers that run it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kamal_dev.compose.listing import ListedService
from kamal_dev.model import short
from kamal_dev.pipeline.hosts.stack_projects import projects
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.status import StackStatus
from kamal_dev.project import Project
from kamal_dev.values import dataclass

HEAD = ("SERVICE", "IMAGE", "PORTS", "HEALTH CHECK", "DEPENDS ON", "PROFILES")
# What a narrow terminal does without.
LEFT_OUT = ("HEALTH CHECK", "PROFILES", "DEPENDS ON", "PORTS")
WIDEST = 40


@dataclass(frozen=True)
class ServiceState:
    """Hold a service, and the state of its containers in one stack."""

    service: ListedService
    stack: str = ""
    state: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        """The row of the table."""
        service = self.service
        columns = (
            f"{service.name} (main)" if service.is_main else service.name,
            short(service.image),
            ", ".join(service.ports),
            service.health if len(service.health) <= WIDEST else f"{service.health[: WIDEST - 1]}…",
            ", ".join(service.depends_on),
            ", ".join(service.profiles),
        )
        at = (self.stack, self.state) if self.stack else ()
        return tuple(column or "-" for column in (*at, *columns))

    def as_json(self) -> dict[str, Any]:
        """Return it for `--json`."""
        return {**({"stack": self.stack, "state": self.state} if self.stack else {}), **self.service.as_json()}


def services(project: Project, connections: HostConnections, stacks: Iterable[StackStatus] = ()) -> list[ServiceState]:
    """Return the services of the compose files; with `stacks`, those of each stack and their state."""
    stacks = list(stacks)
    if not stacks:
        return [ServiceState(service) for service in project.services]
    known = projects(project, connections, {stack.name: stack.host for stack in stacks if stack.is_known})
    return [_in_stack(service, stack) for stack in stacks for service in known.get(stack.name, project).services]


def _in_stack(service: ListedService, stack: StackStatus) -> ServiceState:
    containers = [container for container in stack.containers if container.service == service.name]
    states: Mapping[str, None] = dict.fromkeys(container.state for container in containers)
    count = f" ×{len(containers)}" if len(containers) > 1 else ""
    image = containers[0].image if containers else service.image
    return ServiceState(replace(service, image=image), stack.name, ", ".join(states) + count if states else "-")
