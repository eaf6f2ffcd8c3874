"""Find the stacks that a deploy leaves on an older version or on a host that is not theirs any longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kamal_dev.config.provider import ProviderConfig, creates_hosts
from kamal_dev.model import Host
from kamal_dev.pipeline.run import names
from kamal_dev.pipeline.run.record import listed_places, unlisted
from kamal_dev.project import Project, state
from kamal_dev.project.state import CachedHost


def left_behind(
    project: Project,
    stacks: Mapping[str, Host],
    chosen: tuple[str, ...],
    *,
    is_all: bool,
    machines: tuple[Host, ...] = (),
) -> Iterator[str]:
    """Say which stacks are not touched if these are deployed; `stacks` are all hosts by stack.

    `is_all` means that the user named no stacks. `machines` are the hosts that share stacks.
    """
    known = state.read(project.private()).state.hosts
    provider = project.config.provider.type
    yield from _moved(known, stacks, project.config.provider, machines)
    # A listed host may never have had its stack; a host created for a stack has.
    deployed = {
        name
        for name, host in stacks.items()
        if creates_hosts(provider) or machines or any(item.is_at(name, host) for item in known)
    }
    others = [name for name in stacks if name in deployed and name not in chosen and is_counted(project, name)]
    if is_all and others:
        count = max(names.index(project, name) for name in others)
        are, them = ("is not included and keeps its version", "it")
        if len(others) > 1:
            are, them = "are not included and keep their versions", "them"
        yield f"{', '.join(others)} {are}: `dev deploy --count {count}` deploys {them} too"


def is_counted(project: Project, stack: str) -> bool:
    """Return whether a higher count includes a stack: it is numbered, or was by an earlier `naming.pattern`."""
    is_named = stack.startswith(f"{project.config.service}-") and not stack[-1].isdecimal()
    return names.is_numbered(project, stack) or not is_named


def _moved(
    known: tuple[CachedHost, ...], stacks: Mapping[str, Host], config: ProviderConfig, machines: tuple[Host, ...]
) -> Iterator[str]:
    """Say which stacks have moved to another host, and what to do about the old one."""
    provider, listed_in = config.type, config.listed_in
    listed = listed_places(machines, known) if machines else stacks.items()
    for item in unlisted(known, listed) if not creates_hosts(provider) else ():
        advice = f"add {item.address} at its old position and `dev remove {item.stack}`"
        yield (
            f"{item.stack} was deployed to {item.address} before, which {listed_in} no longer lists for it, and "
            f"may still run there: `dev list` checks it; to remove it, "
            + (advice if item.stack in stacks else f"`dev remove {item.stack}`")
        )
    for item in known:
        if item.provider != provider:
            yield (
                f"{item.stack} was deployed to a host of the provider `{item.provider}` before, and may still run "
                "there: set `provider.type` to it to list or remove the host"
            )
