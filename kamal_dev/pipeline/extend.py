"""The story of `dev extend`: give a stack more time."""

from __future__ import annotations

from kamal_dev.commands import answers
from kamal_dev.commands import expiry as commands
from kamal_dev.commands.expiry import LifetimeLimits
from kamal_dev.errors import HostError
from kamal_dev.model import Host, Lifetime
from kamal_dev.pipeline.hosts.scripts import ask
from kamal_dev.pipeline.run.connections import HostConnections

ASKING = 30.0


def extend(connections: HostConnections, name: str, target: Host, limits: LifetimeLimits) -> Lifetime:
    """Set limits of a stack from now on; return its lifetime. Raises HostError if it has ended by another limit."""
    step = commands.extend(connections.scripts, name, limits, performer=connections.performer)
    output = ask(connections, target, step, timeout=ASKING).output
    if not (outcome := answers.outcome(output)):
        raise HostError(target.name, f"{name}: {outcome.reason}", left_behind="nothing was changed")
    return commands.lifetime_of(output, name) or Lifetime()
