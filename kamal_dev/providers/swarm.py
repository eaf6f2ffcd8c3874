"""Nodes of a Docker Swarm as hosts. Compose runs on the nodes, or `docker stack` on those that are managers.

Stacks are visible as labels of nodes, so that those of a node that does not answer are known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamal_dev.commands import answers, nodes
from kamal_dev.commands.nodes import NodeLabels, SwarmMember, SwarmNode
from kamal_dev.errors import DevError, HostError, NoAnswer, ProviderError
from kamal_dev.model import Host, Step
from kamal_dev.model.stack_engine import SWARM_STACK
from kamal_dev.plan.placement import HostContents, at
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass

if TYPE_CHECKING:
    from kamal_dev.commands.payload import Scripts
    from kamal_dev.config import Config
    from kamal_dev.providers import Agree

ASKING = 90.0
MANAGER = "manager"
CLOSED = {"drain": "is drained", "pause": "is paused"}
MATCHLESS = "does not match `provider.nodes`"
LOOK = "`docker node ls` and `docker node inspect` on the manager show the nodes and their labels"


@dataclass(frozen=True)
class NodeHost:
    """Hold a node of the swarm and how it is reached; `closed` is why it takes no new stacks."""

    host: Host
    node: SwarmNode
    closed: str = ""

    @property
    def contents(self) -> HostContents:
        """What the swarm knows about the node, without asking it."""
        node, error = self.node, None
        if not node.is_ready or not self.host.address:
            where = f"{self.host.name} ({node})" if str(node) != self.host.name else self.host.name
            error = NoAnswer(self.host.name, f"the node {where} is {node.state or 'unknown'}, according to the swarm")
        return HostContents(
            self.host,
            tuple(node.stacks),
            node.memory,
            node.nano_cpus // 10**9,
            error=error,
            closed=self.closed,
            services=node.stacks,
            aliases=(node.hostname, node.id),
        )


class SwarmProvider:
    """List the nodes of a swarm, and keep their labels; `manager` is the host that is asked."""

    def __init__(
        self, config: Config, *, remote: Callable[[Host], Shell], scripts: Scripts, directory: Path, **_: Any
    ) -> None:
        self._config = config
        self._remote = remote
        self._scripts = scripts
        self._root = directory.parent.parent
        listed, ssh = config.provider["manager"], config.ssh
        self._user, self._keys = listed["user"] or ssh.user, listed["keys"] or ssh.keys
        jump = listed["proxy_jump"] or ssh.proxy_jump
        self.manager = self._host(listed["address"], self._user, listed["port"] or ssh.port, self._keys, jump)

    def check(self, names: tuple[str, ...]) -> None:
        """Do nothing: only the nodes know whether they have room."""

    def ensure(self, names: tuple[str, ...]) -> dict[str, Host | DevError]:
        """Return no host: stacks are placed on nodes that exist."""
        return {name: ProviderError(f"there is no host for {name}: a swarm creates none") for name in names}

    def stacks(self) -> tuple[tuple[str, Host], ...]:
        """Return the stacks of this project according to the labels of nodes."""
        ours = [
            (name, item) for item in self.members for name, owner in item.node.stacks.items() if self._is_our(owner)
        ]
        return tuple((name, at(item.host, name)) for name, item in ours)

    def machines(self) -> tuple[Host, ...]:
        """Return the nodes that match `provider.nodes`, and others that have stacks of this project."""
        return tuple(item.host for item in self.members)

    def inventory(self) -> Mapping[str, HostContents]:
        """Return what the swarm knows about its nodes."""
        return {item.host.name: item.contents for item in self.members}

    def registrar(self) -> Host:
        """Return the manager: it keeps the claims of names for all nodes."""
        return self.manager

    def creatable(self) -> tuple[HostContents, ...]:
        """Return none: these hosts are what they are."""
        return ()

    def make_room(self, count: int, agree: Agree) -> None:
        """Do nothing: no host is created."""

    def capacity(self) -> None:
        """Return nothing: these hosts are what they are."""

    def destroy(self, names: tuple[str, ...]) -> None:
        """Remove the labels of these stacks; the nodes stay."""
        owned = ((item.node, [name for name in names if self._owns(item.node, name)]) for item in self.members)
        self._label([NodeLabels(node.id, removed=tuple(stacks)) for node, stacks in owned if stacks])

    def record(self, stacks: Mapping[str, Host], answered: Collection[str]) -> None:
        """Label nodes with the stacks of this project, and remove labels that are wrong. Raises ProviderError.

        `answered` are the names of the hosts whose stacks are all known.
        """
        homes = {stack: at(host, "") for stack, host in stacks.items()}
        changes = (self._change(item, homes, is_known=item.host.name in answered) for item in self.members)
        self._label([change for change in changes if change.added or change.stale])

    @cached_property
    def members(self) -> tuple[NodeHost, ...]:
        """The nodes that are hosts, as the manager lists them once. Raises ProviderError, HostError."""
        member, listed = self._listed()
        hosts = tuple(NodeHost(self._reached(node, member), node, self._closed(node)) for node in listed)
        chosen = tuple(item for item in hosts if item.closed != MATCHLESS or self._has_stacks(item.node))
        if not chosen:
            conditions = " && ".join(map(str, self._config.provider["nodes"]))
            where = f"of the {len(listed)} nodes of the swarm" if listed else "the swarm has no nodes;"
            raise ProviderError(f"{where} none matches `provider.nodes: {conditions}`", hint=LOOK)
        return chosen

    def _listed(self) -> tuple[SwarmMember, list[SwarmNode]]:
        events = tuple(answers.events(self._ask(nodes.list_nodes(self._scripts))))
        member = next((event for event in events if isinstance(event, SwarmMember)), SwarmMember())
        self._require_manager(member)
        listed = [event for event in events if isinstance(event, SwarmNode)]
        if strange := [node for node in listed if not nodes.is_valid(node)]:
            raise ProviderError(f"{self.manager.name} listed a node with an invalid id: {strange[0].id[:64]!r}")
        return member, listed

    def _require_manager(self, member: SwarmMember) -> None:
        name, others = self.manager.name, tuple(nodes.host_of(address) for address in member.managers)
        if member.is_manager:
            return
        if member.state == "active":
            hint = f"set `provider.manager` to a manager: {', '.join(others)}" if others else ""
            raise ProviderError(f"{name} is a worker of the swarm, which cannot list its nodes", hint=hint)
        if member.state in ("", "inactive"):
            hint = f"`docker swarm init` or `docker swarm join` on {name} makes it one"
            raise ProviderError(f"{name} is not a node of a swarm", hint=hint)
        reason = f": {member.error}" if member.error else ""
        raise ProviderError(f"the swarm node {name} is {member.state}{reason}", hint="`docker info` there says more")

    def _ask(self, step: Step) -> str:
        """Run a script on the manager, and return its output. Raises ProviderError, HostError."""
        try:
            ended = self._remote(self.manager).run(step, timeout=ASKING)
        except HostError as error:
            message = f"the swarm manager {self.manager.name} does not answer: {error.message}"
            raise type(error)(error.host, message, hint=error.hint) from error
        result = answers.outcome(ended.output)
        if not result:
            reason = result.reason if answers.has_ended(ended.output) else ended.tail(3) or result.reason
            raise ProviderError(f"the swarm manager {self.manager.name} could not do `{step.text}`: {reason}")
        return ended.output

    def _label(self, changes: Iterable[NodeLabels]) -> None:
        if changes := tuple(changes):
            self._ask(nodes.label_nodes(self._scripts, changes))

    def _change(self, item: NodeHost, homes: Mapping[str, Host], *, is_known: bool) -> NodeLabels:
        node, service = item.node, self._config.service
        here = [stack for stack, home in homes.items() if home == at(item.host, "")]
        stale = [stack for stack in node.stacks if self._owns(node, stack) and stack not in here]
        missing = {stack: service for stack in here if not self._owns(node, stack)}
        return NodeLabels(node.id, missing, stale=tuple(stale) if is_known else ())

    def _owns(self, node: SwarmNode, stack: str) -> bool:
        return self._is_our(node.stacks.get(stack, ""))

    def _is_our(self, service: str) -> bool:
        return service == self._config.service

    def _has_stacks(self, node: SwarmNode) -> bool:
        return any(map(self._is_our, node.stacks.values()))

    def _closed(self, node: SwarmNode) -> str:
        """Return why a node takes no new stacks, empty if it does."""
        if not all(constraint.accepts(node.facts) for constraint in self._config.provider["nodes"]):
            return MATCHLESS
        if node.availability != nodes.ACTIVE:
            return CLOSED.get(node.availability, "is not active")
        # Only a manager can deploy a stack, and the stack's node does it by itself.
        is_able = self._config.engine != SWARM_STACK or node.role == MANAGER
        return "" if is_able else f"is not a manager, as `engine: {SWARM_STACK}` requires"

    def _reached(self, node: SwarmNode, member: SwarmMember) -> Host:
        """Return how a node is reached: the manager as it is configured, others at their address in the swarm."""
        address, ssh = node.reachable_at, self._config.ssh
        if node.id == member.node:
            return replace(self.manager, peer_address=address)
        keys = ssh.keys or self._keys
        host = self._host(address, ssh.user or self._user, ssh.port, keys, ssh.proxy_jump)
        return host if address else Host(str(node), "")

    def _host(self, address: str, user: str, port: int, keys: Iterable[str], jump: str) -> Host:
        name = address if port in (0, 22) else f"{address}:{port}"
        paths = tuple(self._root / Path(key).expanduser() for key in keys)
        return Host(name, address, user=user, port=port, keys=paths, proxy_jump=jump)
