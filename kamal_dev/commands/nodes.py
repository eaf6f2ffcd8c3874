"""Nodes of a Docker Swarm: steps that list and label them, and their answers as values. Runs nothing.

What a manager reports was set by the nodes and by everybody who uses the swarm, therefore it is validated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from ipaddress import ip_address

from kamal_dev.commands.payload import Scripts, step
from kamal_dev.commands.words import is_stack_word, stack_word
from kamal_dev.model import Step
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

LABEL = "kamal-dev.stack."
DOWN, READY, ACTIVE = "down", "ready", "active"
_ID = pattern(r"[a-z0-9]{1,64}")
_NAME = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")


@dataclass(frozen=True)
class SwarmMember:
    """Describe the manager that was asked: `state` is `active` in a swarm, `node` its own id.

    `managers` are the addresses of all managers, with ports; only a manager can list nodes.
    """

    state: str = ""
    node: str = ""
    is_manager: bool = False
    managers: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class SwarmNode:
    """Describe a node, as the swarm knows it.

    `state` is `ready`, `down`, `unknown` or `disconnected`, `availability` `active`, `pause` or `drain`. `address` is
    the one by which other nodes reach it; `nano_cpus` are billionths of a CPU, `memory` bytes.
    """

    id: str
    hostname: str = ""
    role: str = ""
    availability: str = ""
    state: str = ""
    address: str = ""
    manager_address: str = ""
    is_leader: bool = False
    os: str = ""
    arch: str = ""
    nano_cpus: int = 0
    memory: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    engine_labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ready(self) -> bool:
        """Whether the swarm reaches the node."""
        return self.state == READY

    @property
    def reachable_at(self) -> str:
        """The IP address by which other nodes reach it, empty if the swarm knows none."""
        # A manager that joined by 0.0.0.0 announces another address to managers.
        candidates = (self.address, host_of(self.manager_address))
        return next((text for text in map(_address, candidates) if text), "")

    @property
    def stacks(self) -> dict[str, str]:
        """The stacks that labels put on this node, and their services."""
        named = {key[len(LABEL) :]: value for key, value in self.labels.items() if key.startswith(LABEL)}
        return {name: value for name, value in named.items() if is_stack_word(name) and is_stack_word(value)}

    @property
    def facts(self) -> dict[str, str]:
        """What constraints are compared with."""
        return {
            "node.id": self.id,
            "node.hostname": self.hostname,
            "node.ip": self.reachable_at,
            "node.role": self.role,
            "node.platform.os": self.os,
            "node.platform.arch": self.arch,
            **{f"node.labels.{key}": str(value) for key, value in self.labels.items()},
            **{f"engine.labels.{key}": str(value) for key, value in self.engine_labels.items()},
        }

    def __str__(self) -> str:
        return self.hostname if _NAME.fullmatch(self.hostname) else self.id


def is_valid(node: SwarmNode) -> bool:
    """Return whether the id of a node is one: it is a word of commands."""
    return _ID.fullmatch(node.id) is not None


def host_of(text: str) -> str:
    """Return the address in `10.0.0.1:2377` or `[fd00::1]:2377`."""
    return text.rpartition(":")[0].strip("[]")


def _address(text: str) -> str:
    try:
        address = ip_address(text)
    except ValueError:
        return ""
    return "" if address.is_unspecified else str(address)


def list_nodes(scripts: Scripts) -> Step:
    """List the nodes of the swarm that a host manages; changes nothing. Parsed by `answers.events`."""
    return step(scripts, "nodes.sh", label="nodes")


@dataclass(frozen=True)
class NodeLabels:
    """Hold how the labels of one node change: stacks with their services, and stacks that are not on it.

    `stale` are stacks that a host no longer has; their labels stay while another deploy is creating the stack there.
    """

    node: str
    added: Mapping[str, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()

    def words(self) -> Iterable[str]:
        """Return the arguments of label.sh."""
        yield self.node
        for stack, service in self.added.items():
            yield f"{stack_word(stack)}:{stack_word(service)}"
        yield from (f"{stack_word(stack)}:" for stack in self.removed)
        yield from (f"{stack_word(stack)}::" for stack in self.stale)


def label_nodes(scripts: Scripts, changes: Iterable[NodeLabels]) -> Step:
    """Change the labels of nodes that tell which stacks they have."""
    words = [word for change in changes for word in change.words()]
    return step(scripts, "label.sh", *words, label=" ".join(("label", *words)))
