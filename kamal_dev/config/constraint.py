"""Constraints on the nodes of a swarm, in the syntax of `docker service create --constraint`. Knows no node."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

from kamal_dev.config.document import ConfigValue
from kamal_dev.config.kinds import Kind
from kamal_dev.config.problems import MISSING, Reading, show
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

PLAIN = ("node.id", "node.hostname", "node.ip", "node.role", "node.platform.os", "node.platform.arch")
LABELS = ("node.labels.", "engine.labels.")
KEYS = f"{', '.join(f'`{key}`' for key in PLAIN)}, `node.labels.NAME` and `engine.labels.NAME`"
# Swarm reports the names of the kernel, Docker's images have those of Go.
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}
_ROLES = ("manager", "worker")
_TERM = pattern(r"\s*([A-Za-z_][A-Za-z0-9_.-]*)\s*(==|!=)\s*([^=!&\s](?:[^=!&]*[^=!&\s])?)\s*")
_LABEL = pattern(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Constraint:
    """Hold one condition: the value of `key` is, or is not, `value`."""

    key: str
    value: str
    is_equal: bool = True

    def __str__(self) -> str:
        return f"{self.key} {'==' if self.is_equal else '!='} {self.value}"

    def accepts(self, facts: Mapping[str, str]) -> bool:
        """Return whether the facts of a node, by key, satisfy the condition; letters match in either case."""
        actual = facts.get(self.key, "")
        return self._is_value(actual) is self.is_equal

    def _is_value(self, actual: str) -> bool:
        if self.key == "node.ip":
            return bool(actual) and ip_address(actual) in ip_network(self.value, strict=False)
        given = _ARCHITECTURES.get(self.value.lower(), self.value)
        return _ARCHITECTURES.get(actual.lower(), actual).lower() == given.lower()


def constraint(text: str) -> Constraint | str:
    """Return the condition in a text such as `node.role == worker`, or why it is none."""
    match = _TERM.fullmatch(text)
    if not match:
        return f"{show(text)} is not a constraint: write `KEY == VALUE` or `KEY != VALUE`"
    key, operator, value = match.groups()
    label = next((key[len(prefix) :] for prefix in LABELS if key.startswith(prefix)), None)
    if key not in PLAIN and not (label and _LABEL.fullmatch(label)):
        return f"{show(key)} is not a key of a node: use {KEYS}"
    if key == "node.role" and value not in _ROLES:
        return f"the role of a node is `manager` or `worker`, not {show(value)}"
    if key == "node.ip" and not _is_network(value):
        return f"{show(value)} is not an IP address or a network"
    return Constraint(key, value, operator == "==")


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Constraints(Kind):
    """Conditions on nodes, all of which must hold: joined by `&&`, or a list."""

    title: str = "conditions such as `node.labels.dev == true`, joined by `&&`, or a list of them"

    def read(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        """Return a tuple of constraints, or MISSING after reporting the problem to `reading`."""
        if value.kind != "list":
            return self._terms(value, key, reading)
        read = []
        for index, item in enumerate(value.items):
            reading.place(f"{key}[{index}]", item)
            read.append(self._terms(item, f"{key}[{index}]", reading))
        return MISSING if MISSING in read else tuple(term for terms in read for term in terms)

    def _terms(self, value: ConfigValue, key: str, reading: Reading) -> Any:
        if value.kind != "text":
            return super().read(value, key, reading)
        terms = [constraint(text) for text in value.text.split("&&")]
        for problem in terms:
            if isinstance(problem, str):
                return reading.refuse(value, key, problem)
        return tuple(terms)
