"""What a stack is told about the others of its project."""

from __future__ import annotations

from kamal_dev.model import Host
from kamal_dev.pipeline.hosts.planning import peers
from kamal_dev.plan.observation import Observation

STACKS = {
    "app-10": Host("app-10", "10.0.0.3"),
    "app-2": Host("app-2", "bastion.example.com", port=2222, peer_address="10.0.0.2"),
    "app-1": Host("app-1", "10.0.0.1"),
    "app-off": Host("app-off", ""),
}


def test_the_others_are_named_in_order_with_addresses_by_which_hosts_reach_each_other() -> None:
    assert peers(STACKS)("app-1") == "app-2=10.0.0.2 app-10=10.0.0.3"
    assert peers(STACKS)("app-off") == "app-1=10.0.0.1 app-2=10.0.0.2 app-10=10.0.0.3"
    assert peers({"app-1": STACKS["app-1"]})("app-1") == peers({})("app-1") == ""


def test_a_stack_has_the_address_that_its_peers_know() -> None:
    known = {name: Observation(name, host).peer_address for name, host in STACKS.items()}
    assert known == {"app-10": "10.0.0.3", "app-2": "10.0.0.2", "app-1": "10.0.0.1", "app-off": ""}
    assert Observation("new").peer_address == ""
