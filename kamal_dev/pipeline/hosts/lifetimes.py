"""Start to count the lifetime of a stack on its host after a deploy."""

from __future__ import annotations

from dataclasses import replace

from kamal_dev.commands import answers
from kamal_dev.commands import expiry as commands
from kamal_dev.commands.expiry import LifetimeLimits
from kamal_dev.config import Config
from kamal_dev.errors import DevError, HostError
from kamal_dev.model import Lifetime
from kamal_dev.pipeline.hosts.prepare import PreparedHost
from kamal_dev.pipeline.hosts.scripts import ask
from kamal_dev.pipeline.run.connections import HostConnections
from kamal_dev.pipeline.run.report import StackResult

ASKING = 30.0
UNWATCHED = "this host has no watcher, so the stack does not end by itself"


def with_lifetime(
    connections: HostConnections, config: Config, prepared: PreparedHost, flags: LifetimeLimits, result: StackResult
) -> StackResult:
    """Begin the lifetime of a stack that was deployed; it ends the result if that fails.

    Does nothing, and connects to no host, if neither the flags, nor dev.yml, nor an earlier deploy have set one.
    """
    configured = LifetimeLimits(config.lifetime.ttl, config.lifetime.idle)
    if not result.is_fine or not (flags or configured or prepared.facts.lifetime):
        return result
    try:
        lifetime = _begin(connections, config.lifetime.then, prepared, flags, configured)
    except DevError as error:
        return replace(result, error=error)
    if lifetime and lifetime.is_limited:
        connections.output.info(f"Lifetime: {lifetime}, then {lifetime.then}", prepared.host)
        if not lifetime.watched:
            connections.output.warn_once(f"{prepared.host.name}: {UNWATCHED}")
    return result


def _begin(
    connections: HostConnections, then: str, prepared: PreparedHost, flags: LifetimeLimits, configured: LifetimeLimits
) -> Lifetime | None:
    stack, target = prepared.stack, prepared.host
    step = commands.begin(connections.scripts, stack, flags, configured, then, performer=connections.performer)
    output = ask(connections, target, step, timeout=ASKING).output
    if not (outcome := answers.outcome(output)):
        state = "its containers run this version"
        raise HostError(target.name, f"could not set the lifetime of {stack}: {outcome.reason}", left_behind=state)
    return commands.lifetime_of(output, stack)
