"""Nodes of a swarm as hosts, from what a manager lists: recorded from Docker 26.1, for a hundred nodes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from kamal_dev import config, providers
from kamal_dev.errors import DevError, HostUnreachable, ProviderError
from kamal_dev.model import Host, Result, Step
from kamal_dev.output import Output
from kamal_dev.plan.placement import PlacementRules, at, place
from kamal_dev.providers.swarm import SwarmProvider
from kamal_dev.shell.recorder import Recorder
from tests.hosts import scripts

RECORDED = Path(__file__).with_name("nodes.json").read_text().splitlines()
SETTINGS = """\
service: app
provider:
  type: swarm
  manager: ops@10.0.0.1:2222
  nodes: node.labels.dev == true
ssh: {keys: keys/ops, proxy_jump: jump@bastion}
"""
ANY = SETTINGS.replace("  nodes: node.labels.dev == true\n", "")
OK = '{"type":"result","ok":true,"phase":"swarm"}'
Lines = Iterable[dict[str, Any]]


def member(**changes: Any) -> dict[str, Any]:
    known = {"type": "swarm", "state": "active", "node": "n1", "is_manager": True, "managers": [], "error": ""}
    return {**known, **changes}


def node(number: int, **changes: Any) -> dict[str, Any]:
    """Return a node as a manager lists it; `stacks` are labels."""
    stacks = {f"kamal-dev.stack.{name}": service for name, service in changes.pop("stacks", {}).items()}
    known: dict[str, Any] = {
        **json.loads(RECORDED[2]),
        "state": "ready",
        "id": f"n{number}",
        "hostname": f"node-{number}",
        "address": f"10.0.0.{number}",
        "labels": {"dev": "true", **stacks},
    }
    return {**known, **changes}


def made(answer: Callable[[Step], Result], settings: str = SETTINGS) -> tuple[SwarmProvider, Recorder]:
    manager = Recorder("manager", answer)
    provider = providers.make(
        config.load(settings, "config/dev.yml", environment={}),
        shell=Recorder(),
        directory=Path("/src/app/.kamal/local"),
        output=Output(lambda event: None),
        remote=lambda host: manager,
        scripts=scripts(),
    )
    assert isinstance(provider, SwarmProvider)
    return provider, manager


def listing(*lines: dict[str, Any], settings: str = SETTINGS) -> tuple[SwarmProvider, Recorder]:
    """Return a provider whose manager lists these nodes."""
    text = "\n".join([*map(json.dumps, lines), OK])
    return made(lambda step: Result(step, 0, text), settings)


def test_a_hundred_nodes_are_listed_in_one_exec() -> None:
    nodes = [node(number, address=f"10.0.{number // 250}.{number % 250 + 1}") for number in range(1, 101)]
    provider, manager = listing(member(), *nodes)
    assert len(provider.machines()) == len(provider.inventory()) == 100
    assert provider.machines() == provider.machines()
    assert manager.transcript == ["manager$ nodes"]
    (contents,) = {(item.cpus, item.memory, item.closed, item.error) for item in provider.inventory().values()}
    recorded = json.loads(RECORDED[2])
    assert contents == (recorded["nano_cpus"] // 10**9, recorded["memory"], "", None)


def test_the_nodes_that_were_recorded() -> None:
    text = Path(__file__).with_name("nodes.json").read_text() + OK
    provider, _ = made(lambda step: Result(step, 0, text), ANY)
    manager, worker = provider.members
    assert (manager.host, manager.node.role, manager.contents.cpus) == (provider.manager, "manager", 2)
    assert (worker.host.address, worker.node.role, worker.contents.memory) == ("172.17.0.7", "worker", 25276063744)
    assert [item.contents.stacks for item in (manager, worker)] == [("swarm-1", "swarm-3"), ("swarm-2", "swarm-4")]
    assert not manager.contents.error
    assert str(worker.contents.error) == "the node 172.17.0.7 (worker) is down, according to the swarm"


def test_nodes_are_reached_with_the_settings_of_ssh_and_the_manager_as_it_is_configured() -> None:
    provider, _ = listing(member(), node(1), node(2))
    manager, worker = provider.machines()
    key = Path("/src/app/keys/ops")
    assert manager == provider.manager == Host("10.0.0.1:2222", "10.0.0.1", "ops", 2222, (key,), "jump@bastion")
    assert worker == Host("10.0.0.2", "10.0.0.2", "ops", 0, (key,), "jump@bastion")
    assert manager.peer_address == "10.0.0.1"
    assert provider.registrar() == provider.manager


def test_an_unspecified_address_is_replaced_by_that_of_the_manager() -> None:
    provider, _ = listing(member(), node(2, address="0.0.0.0", manager_address="10.0.0.9:2377"))
    assert provider.machines()[0].address == "10.0.0.9"
    provider, _ = listing(member(), node(2, address="", manager_address="[fd00::9]:2377"))
    assert provider.machines()[0].address == "fd00::9"


def test_only_matching_active_nodes_get_new_stacks() -> None:
    provider, _ = listing(
        member(),
        node(1, availability="drain", stacks={"app-1": "app"}),
        node(2, availability="pause"),
        node(3, labels={}),
        node(4, labels={"kamal-dev.stack.app-2": "app"}),
        node(5, state="down", stacks={"app-3": "app", "blog-1": "blog"}),
        node(6),
    )
    known = provider.inventory()
    assert [host.address[-1] for host in provider.machines()] == ["1", "2", "4", "5", "6"]
    assert [known[host.name].closed for host in provider.machines()] == [
        "is drained", "is paused", "does not match `provider.nodes`", "", "",
    ]  # fmt: skip
    assert known["10.0.0.5"].stacks == ("app-3", "blog-1")
    assert str(known["10.0.0.5"].error) == "the node 10.0.0.5 (node-5) is down, according to the swarm"
    assert provider.stacks() == tuple(
        (stack, at(known[name].host, stack))
        for stack, name in (("app-1", "10.0.0.1:2222"), ("app-2", "10.0.0.4"), ("app-3", "10.0.0.5"))
    )
    placement = place(("app-3", "app-4"), tuple(known.values()), PlacementRules(4))
    assert {name: host.address for name, host in placement.hosts.items()} == {"app-4": "10.0.0.6"}
    assert "is down" in str(placement.errors["app-3"])


def test_only_managers_take_stacks_that_swarm_runs() -> None:
    nodes = (node(1, role="manager"), node(2, role="worker"))
    provider, _ = listing(member(), *nodes, settings=f"{ANY}engine: swarm-stack\n")
    closed = [item.closed for item in provider.inventory().values()]
    assert closed == ["", "is not a manager, as `engine: swarm-stack` requires"]
    provider, _ = listing(member(), *nodes, settings=ANY)
    assert [item.closed for item in provider.inventory().values()] == ["", ""]


def test_a_node_has_the_names_that_the_swarm_has_for_it() -> None:
    provider, _ = listing(member(), node(2), node(3))
    placement = place(("app-1",), tuple(provider.inventory().values()), PlacementRules(4), on="node-3")
    assert placement.hosts["app-1"].address == "10.0.0.3"
    placement = place(("app-1",), tuple(provider.inventory().values()), PlacementRules(4), on="n2")
    assert placement.hosts["app-1"].address == "10.0.0.2"


def test_labels_are_added_and_repaired_in_one_exec() -> None:
    provider, manager = listing(
        member(),
        node(1, stacks={"app-1": "app", "app-9": "app", "blog-1": "blog"}),
        node(2, stacks={"app-2": "blog"}),
        node(3, stacks={"app-8": "app"}),
    )
    hosts = provider.machines()
    stacks = {"app-1": hosts[0], "app-2": hosts[1], "app-3": hosts[1]}
    provider.record({name: at(host, name) for name, host in stacks.items()}, {hosts[0].name, hosts[1].name})
    assert manager.transcript[1:] == ["manager$ label n1 app-9:: n2 app-2:app app-3:app"]


def test_nothing_is_labelled_if_nothing_changed() -> None:
    provider, manager = listing(member(), node(1, stacks={"app-1": "app"}))
    (host,) = provider.machines()
    provider.record({"app-1": at(host, "app-1")}, {host.name})
    provider.destroy(("app-7",))
    assert manager.transcript == ["manager$ nodes"]


def test_removed_stacks_lose_their_labels_wherever_they_are() -> None:
    provider, manager = listing(
        member(), node(1, stacks={"app-1": "app"}), node(2, stacks={"app-1": "app", "app-2": "app"}), node(3)
    )
    provider.destroy(("app-1", "app-2"))
    assert manager.transcript[1:] == ["manager$ label n1 app-1: n2 app-1: app-2:"]


@pytest.mark.parametrize(
    ("answer", "message", "hint"),
    [
        (member(state="inactive", is_manager=False), "10.0.0.1:2222 is not a node of a swarm", "docker swarm init"),
        (
            member(is_manager=False, managers=["10.0.0.5:2377", "[fd00::6]:2377"]),
            "10.0.0.1:2222 is a worker of the swarm, which cannot list its nodes",
            "set `provider.manager` to a manager: 10.0.0.5, fd00::6",
        ),
        (
            member(state="locked", is_manager=False, error="Swarm is encrypted"),
            "the swarm node 10.0.0.1:2222 is locked: Swarm is encrypted",
            "docker info",
        ),
        (member(), "the swarm has no nodes; none matches `provider.nodes: node.labels.dev == true`", "docker node ls"),
    ],
)
def test_a_manager_that_lists_nothing_says_why(answer: dict[str, Any], message: str, hint: str) -> None:
    provider, _ = listing(answer)
    with pytest.raises(ProviderError) as caught:
        provider.machines()
    assert caught.value.message == message
    assert hint in caught.value.hint


def test_a_manager_that_does_not_answer_is_named() -> None:
    def silent(step: Step) -> Result:
        raise HostUnreachable("10.0.0.1:2222", "connection refused", hint="is it up?")

    provider, _ = made(silent)
    with pytest.raises(
        HostUnreachable, match=r"the swarm manager 10\.0\.0\.1:2222 does not answer: connection refused"
    ):
        provider.machines()


def test_the_reason_of_a_failed_script_is_shown() -> None:
    failed = '{"type":"result","ok":false,"phase":"swarm","reason":"The swarm does not have a leader"}'
    provider, _ = made(lambda step: Result(step, 1, f"{json.dumps(member())}\n{failed}"))
    with pytest.raises(ProviderError, match="could not do `nodes`: The swarm does not have a leader"):
        provider.machines()
    provider, _ = made(lambda step: Result(step, 127, "", "sh: not found"))
    with pytest.raises(ProviderError, match="could not do `nodes`: sh: not found"):
        provider.machines()


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "-x"},
        {"id": "a;b"},
        {"id": ""},
    ],
)
def test_a_node_with_an_invalid_id_is_refused(changes: dict[str, Any]) -> None:
    provider, _ = listing(member(), node(1), node(2, **changes))
    with pytest.raises(ProviderError, match="listed a node with an invalid id"):
        provider.machines()


@pytest.mark.parametrize("address", ["-oProxyCommand=x", "evil host", "10.0.0.1;id", "", "\u001b[2J", "a" * 9999, "::"])
def test_a_hostile_address_is_none(address: str) -> None:
    provider, _ = listing(member(), node(2, address=address, stacks={"app-1": "app"}))
    (host,) = provider.machines()
    assert host.address == ""
    assert provider.inventory()[host.name].error


def test_hostile_names_and_labels_reach_nothing() -> None:
    labels = {"dev": "true", "kamal-dev.stack.../x": "app", "kamal-dev.stack.-x": "app", "kamal-dev.stack.y": "a b"}
    provider, _ = listing(member(), node(2, hostname="$(id)\n\u001b[31m", labels=labels, address="x"))
    (host,) = provider.machines()
    assert (host.name, provider.inventory()[host.name].stacks) == ("n2", ())


def test_answers_of_another_form_are_no_nodes() -> None:
    strange = [node(2, memory="much"), node(2, labels=["dev"]), {"type": "node"}]
    for line in strange:
        provider, _ = listing(member(), node(1), line)
        assert [host.address for host in provider.machines()] == ["10.0.0.1"], line


def test_a_label_that_could_not_be_set_is_an_error() -> None:
    text = "\n".join([json.dumps(member()), json.dumps(node(1)), OK])
    failed = '{"type":"result","ok":false,"phase":"label","reason":"node n1 got no label: no space left"}'
    provider, _ = made(lambda step: Result(step, 0, failed if step.text.startswith("label") else text))
    (host,) = provider.machines()
    with pytest.raises(ProviderError, match="could not do `label n1 app-1:app`: node n1 got no label"):
        provider.record({"app-1": at(host, "app-1")}, ())


def test_no_host_is_created() -> None:
    provider, _ = listing(member(), node(1))
    assert all(isinstance(item, DevError) for item in provider.ensure(("app-1",)).values())
    assert provider.capacity() is None
