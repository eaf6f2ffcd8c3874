"""The scripts of a swarm's manager, in every shell, with a program that answers as Docker does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kamal_dev.commands import answers, nodes
from kamal_dev.commands.nodes import NodeLabels, SwarmMember, SwarmNode
from kamal_dev.errors import UsageError
from kamal_dev.model import Step
from tests.hosts import scripts
from tests.kinds.test_standing import SHELLS

SCRIPTS = scripts()
# Answers `node update` with the lines of the file `refusals`, one each time, and succeeds once they are used up.
DOCKER = """#!/bin/sh
here=${0%/*}
case "$1 $2" in
  'version --format') echo 26.1.5 ;;
  'info --format') cat "$here/member" ;;
  'node ls') [ ! -f "$here/leaderless" ] || { echo 'Error response: the swarm does not have a leader' >&2; exit 1; }
    echo n1; echo n2 ;;
  'node inspect') cat "$here/nodes"; [ ! -f "$here/gone" ] || { echo 'no such node: n2' >&2; exit 1; } ;;
  'node update')
    echo "$*" >>"$here/updates"
    [ -s "$here/refusals" ] || exit 0
    sed -n 1p "$here/refusals" >&2
    sed -i 1d "$here/refusals"
    exit 1 ;;
esac
"""


class Manager:
    """A host with such a program, in a folder of this machine."""

    def __init__(self, path: Path, shell: str) -> None:
        self.home, self.programs = path / "home", path / "programs"
        self.home.mkdir()
        self.programs.mkdir()
        if shell.startswith("busybox"):
            subprocess.run(("busybox", "--install", "-s", self.programs), check=False, capture_output=True)
        for name, text in (("sh", f'#!/bin/sh\nexec {shell} "$@"\n'), ("docker", DOCKER)):
            (self.programs / name).unlink(missing_ok=True)
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)

    def put(self, name: str, text: str = "") -> None:
        (self.programs / name).write_text(text)

    def run(self, step: Step) -> str:
        variables = {
            "HOME": str(self.home),
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "TMPDIR": str(self.home.parent),
            "DOCKER_HOST": "unix:///none",
        }
        argv = (str(self.programs / "sh"), *step.argv[1:])
        done = subprocess.run(argv, check=False, input=step.stdin, capture_output=True, env=variables, timeout=60)
        assert done.stderr == b"", done.stderr.decode()
        return done.stdout.decode()

    @property
    def updates(self) -> list[str]:
        """The changes of nodes, as they were asked for."""
        path = self.programs / "updates"
        return [line.removeprefix("node update ") for line in path.read_text().splitlines()] if path.exists() else []

    def claim(self, stack: str) -> Path:
        path = self.home / ".kamal-dev/.claims" / stack
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("10.0.0.1\n")
        return path


@pytest.fixture(params=SHELLS)
def manager(tmp_path: Path, request: pytest.FixtureRequest) -> Manager:
    return Manager(tmp_path, request.param)


def test_a_manager_lists_its_nodes(manager: Manager) -> None:
    manager.put("member", "active|true|n1|10.0.0.1:2377 [fd00::2]:2377 |\n")
    manager.put("nodes", '{"type":"node","id":"n1","labels":{"dev":"true"}}\n{"type":"node","id":"n2","labels":null}\n')
    output = manager.run(nodes.list_nodes(SCRIPTS))
    member, *listed = [event for event in answers.events(output) if isinstance(event, SwarmMember | SwarmNode)]
    assert member == SwarmMember("active", "n1", True, ("10.0.0.1:2377", "[fd00::2]:2377"))
    assert [node.id for node in listed if isinstance(node, SwarmNode)] == ["n1", "n2"]
    assert answers.outcome(output)


def test_a_node_that_is_removed_meanwhile_is_not_listed(manager: Manager) -> None:
    manager.put("member", "active|true|n1||\n")
    manager.put("nodes", '{"type":"node","id":"n1"}\n')
    manager.put("gone")
    output = manager.run(nodes.list_nodes(SCRIPTS))
    assert [event.id for event in answers.events(output) if isinstance(event, SwarmNode)] == ["n1"]
    assert answers.outcome(output)


@pytest.mark.parametrize(
    ("member", "state", "error"),
    [
        ("inactive|false|||", "inactive", ""),
        ("active|false|n2|10.0.0.1:2377 |", "active", ""),
        ('locked|false|||Swarm is "encrypted" and needs to be unlocked', "locked", 'Swarm is "encrypted" and'),
        ("", "", ""),
    ],
)
def test_a_host_that_is_no_manager_lists_none(manager: Manager, member: str, state: str, error: str) -> None:
    manager.put("member", f"{member}\n")
    output = manager.run(nodes.list_nodes(SCRIPTS))
    (found,) = [event for event in answers.events(output) if isinstance(event, SwarmMember | SwarmNode)]
    assert isinstance(found, SwarmMember)
    assert (found.state, found.is_manager) == (state, False)
    assert found.error.startswith(error)


def test_a_swarm_without_a_leader_says_so(manager: Manager) -> None:
    manager.put("member", "active|true|n1||\n")
    manager.put("leaderless")
    outcome = answers.outcome(manager.run(nodes.list_nodes(SCRIPTS)))
    assert not outcome
    assert "the swarm does not have a leader" in outcome.reason


def test_labels_of_several_nodes_are_changed(manager: Manager) -> None:
    changes = [
        NodeLabels("n1", {"app-1": "app", "app-2": "app"}, removed=("app-3",)),
        NodeLabels("n2", stale=("app-1",)),
    ]
    assert answers.outcome(manager.run(nodes.label_nodes(SCRIPTS, changes)))
    assert sorted(manager.updates) == [
        "--label-add kamal-dev.stack.app-1=app --label-add kamal-dev.stack.app-2=app -- n1",
        "--label-rm kamal-dev.stack.app-1 -- n2",
        "--label-rm kamal-dev.stack.app-3 -- n1",
    ]


def test_a_change_at_the_same_time_is_waited_for(manager: Manager) -> None:
    manager.put("refusals", "Error response from daemon: rpc error: update out of sequence\n" * 2)
    assert answers.outcome(manager.run(nodes.label_nodes(SCRIPTS, [NodeLabels("n1", {"app-1": "app"})])))
    assert len(manager.updates) == 3


def test_a_label_that_does_not_exist_is_removed_already(manager: Manager) -> None:
    manager.put("refusals", "key kamal-dev.stack.app-1 doesn't exist in node's labels\nno\nError: node n1 not found\n")
    change = NodeLabels("n1", removed=("app-1", "app-2"))
    outcome = answers.outcome(manager.run(nodes.label_nodes(SCRIPTS, [change])))
    assert outcome.reason == "node n1 has the label of app-2: no"
    assert answers.outcome(manager.run(nodes.label_nodes(SCRIPTS, [change])))


def test_a_label_that_is_refused_is_an_error(manager: Manager) -> None:
    manager.put("refusals", "permission denied\n")
    outcome = answers.outcome(manager.run(nodes.label_nodes(SCRIPTS, [NodeLabels("n1", {"app-1": "app"})])))
    assert (outcome.ok, outcome.reason) == (False, "node n1 got no label: permission denied")


def test_the_label_of_a_stack_that_another_deploy_may_be_creating_stays(manager: Manager) -> None:
    claimed = manager.claim("app-1")
    change = NodeLabels("n1", stale=("app-1", "app-2"))
    assert answers.outcome(manager.run(nodes.label_nodes(SCRIPTS, [change])))
    assert manager.updates == ["--label-rm kamal-dev.stack.app-2 -- n1"]
    assert claimed.exists()


def test_a_removed_stack_loses_its_claim(manager: Manager) -> None:
    claimed = manager.claim("app-1")
    assert answers.outcome(manager.run(nodes.label_nodes(SCRIPTS, [NodeLabels("n1", removed=("app-1",))])))
    assert not claimed.exists()
    assert manager.updates == ["--label-rm kamal-dev.stack.app-1 -- n1"]


@pytest.mark.parametrize("change", [NodeLabels("n1", {"$(id)": "app"}), NodeLabels("n1", {"app-1": "a b"})])
def test_hostile_names_reach_no_shell(change: NodeLabels) -> None:
    with pytest.raises(UsageError):
        nodes.label_nodes(SCRIPTS, [change])
