"""Make the plan of a change to running services: what is stopped, started, restarted or scaled in each stack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host
from kamal_dev.plan.operation import Operation
from kamal_dev.plan.plan import Plan, StackPlan
from kamal_dev.values import dataclass


@dataclass(frozen=True, kw_only=True)
class ServiceOperation(Operation):
    """Change services of a stack; none means all. `script_verb` is the name of the verb on the host."""

    services: tuple[str, ...] = ()
    script_verb: ClassVar[str] = ""

    @property
    def target(self) -> str:
        """The services."""
        return ", ".join(self.services)


@dataclass(frozen=True, kw_only=True)
class StopServices(ServiceOperation):
    """Stop containers without removing them."""

    verb: ClassVar[str] = "stop services"
    script_verb: ClassVar[str] = "stop"


@dataclass(frozen=True, kw_only=True)
class StartServices(ServiceOperation):
    """Start stopped containers."""

    verb: ClassVar[str] = "start services"
    script_verb: ClassVar[str] = "start"


@dataclass(frozen=True, kw_only=True)
class RestartServices(ServiceOperation):
    """Stop containers and start them again."""

    verb: ClassVar[str] = "restart services"
    script_verb: ClassVar[str] = "restart"


@dataclass(frozen=True, kw_only=True)
class ScaleServices(ServiceOperation):
    """Change the number of containers of services, given as `service=count`."""

    verb: ClassVar[str] = "scale services"
    script_verb: ClassVar[str] = "scale"


OPERATIONS: Mapping[str, type[ServiceOperation]] = {
    kind.script_verb: kind for kind in (StopServices, StartServices, RestartServices, ScaleServices)
}


def plan_services(targets: Mapping[str, Host], verb: str, services: tuple[str, ...]) -> Plan:
    """Return what is done with these services in each stack; a host that is switched off blocks its stack."""
    return Plan(
        stacks=tuple(_of_stack(stack, host, OPERATIONS[verb](services=services)) for stack, host in targets.items())
    )


def _of_stack(stack: str, host: Host, operation: ServiceOperation) -> StackPlan:
    if host.address:
        return StackPlan(stack, host.address, (operation,))
    hint = f"`dev deploy {stack}` starts it"
    return StackPlan(stack, error=HostUnreachable(stack, "the host is not running or does not answer", hint=hint))
