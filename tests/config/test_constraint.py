"""Constraints on nodes mean what they mean to Docker Swarm."""

from __future__ import annotations

import pytest

from kamal_dev import config
from kamal_dev.config.constraint import Constraint, constraint

FACTS = {
    "node.id": "abc123",
    "node.hostname": "worker-1",
    "node.ip": "10.0.0.7",
    "node.role": "worker",
    "node.platform.os": "linux",
    "node.platform.arch": "x86_64",
    "node.labels.dev": "true",
    "node.labels.com.example.disk": "SSD",
    "engine.labels.zone": "a",
}


@pytest.mark.parametrize(
    ("text", "is_met"),
    [
        ("node.labels.dev == true", True),
        ("node.labels.dev==true", True),
        ("node.labels.dev == TRUE", True),
        ("node.labels.dev != true", False),
        ("node.labels.Dev == true", False),
        ("node.labels.none == x", False),
        ("node.labels.none != x", True),
        ("node.labels.com.example.disk == ssd", True),
        ("node.role == worker", True),
        ("node.role != manager", True),
        ("node.id != abc123", False),
        ("node.hostname == WORKER-1", True),
        ("node.platform.os == windows", False),
        ("node.platform.arch == amd64", True),
        ("node.platform.arch == aarch64", False),
        ("engine.labels.zone == a", True),
        ("node.ip == 10.0.0.7", True),
        ("node.ip == 10.0.0.0/8", True),
        ("node.ip != 10.0.0.0/8", False),
        ("node.ip == fd00::/8", False),
    ],
)
def test_a_constraint_accepts_a_node(text: str, is_met: bool) -> None:
    read = constraint(text)
    assert isinstance(read, Constraint), read
    assert read.accepts(FACTS) is is_met


def test_a_node_without_an_address_is_in_no_network() -> None:
    read = constraint("node.ip == 0.0.0.0/0")
    assert isinstance(read, Constraint)
    assert not read.accepts({**FACTS, "node.ip": ""})


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("", []),
        ("nodes: node.role == worker", ["node.role == worker"]),
        ("nodes: 'node.role==worker&&node.labels.a!=b'", ["node.role == worker", "node.labels.a != b"]),
        ("nodes: [node.role == worker, 'node.labels.a!=b && node.id == c']",
         ["node.role == worker", "node.labels.a != b", "node.id == c"]),
        ("nodes: []", []),
    ],
)  # fmt: skip
def test_constraints_are_joined_or_listed(written: str, expected: list[str]) -> None:
    text = f"service: a\nprovider:\n  type: swarm\n  manager: deploy@10.0.0.1:2222\n  {written}\n"
    provider = config.load(text, "config/dev.yml", environment={}).provider
    assert [str(item) for item in provider["nodes"]] == expected
    assert (provider["manager"]["user"], provider["manager"]["port"]) == ("deploy", 2222)
