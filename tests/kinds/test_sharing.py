"""Hosts that share stacks: what they say of them, in every shell, and what is done with it. No engine is needed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kamal_dev.commands import answers
from kamal_dev.commands import host as commands
from kamal_dev.commands import survey as surveys
from kamal_dev.commands.facts import host_ports
from kamal_dev.config.distribution import PlacementConfig, Require
from kamal_dev.config.port_range import PortRange
from kamal_dev.errors import DevError, HostUnreachable, UsageError
from kamal_dev.model import Host, Release, Result, Step, Version
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.checks import host_checks
from kamal_dev.pipeline.hosts.placing import claim, placed, rules
from kamal_dev.pipeline.list import listed
from kamal_dev.pipeline.run.connections import SHARING, HostConnections, HostShells
from kamal_dev.pipeline.status import stacks as statuses
from kamal_dev.plan.placement import PlacementRules, at
from kamal_dev.project import Project, state
from kamal_dev.project.state import CachedHost
from kamal_dev.shell.recorder import Recorder
from kamal_dev.shell.trust import Trust
from tests.hosts import FOLDER, scripts
from tests.shells import SHELLS
from tests.workspace.lab import OneHost

SCRIPTS = scripts()


class Home(Recorder):
    """A host: a folder of this machine in which the real scripts run."""

    def __init__(self, path: Path, shell: str = "/bin/sh") -> None:
        super().__init__(path.name)
        self.path = path
        self.programs = path.parent / "programs"
        self.is_silent = False
        path.mkdir(exist_ok=True)
        self.programs.mkdir(exist_ok=True)
        if shell.startswith("busybox"):
            subprocess.run(("busybox", "--install", "-s", self.programs), check=False, capture_output=True)
        (self.programs / "sh").unlink(missing_ok=True)
        (self.programs / "sh").write_text(f'#!/bin/sh\nexec {shell} "$@"\n')
        (self.programs / "sh").chmod(0o755)

    def run(self, step: Step, **_: Any) -> Result:
        """Run a step with the real shell, unless the host does not answer."""
        if self.is_silent:
            raise HostUnreachable(self.path.name, "no route to host")
        self.transcript.append(step.text)
        variables = {
            "HOME": str(self.path),
            "PATH": f"{self.programs}:/usr/bin:/bin",
            "TMPDIR": str(self.path.parent),
            "DOCKER_HOST": "unix:///none",
        }
        argv = (str(self.programs / "sh"), *step.argv[1:])
        done = subprocess.run(argv, check=False, input=step.stdin, capture_output=True, env=variables, timeout=60)
        assert done.stderr == b"", done.stderr.decode()
        return Result(step, done.returncode, done.stdout.decode(), "")

    def put(self, *stacks: str) -> None:
        """Put stacks there."""
        for stack in stacks:
            (self.path / ".kamal-dev" / stack / "releases").mkdir(parents=True)


def machine(number: int) -> Host:
    return Host(f"10.0.0.{number}", f"10.0.0.{number}")


@pytest.fixture
def homes(tmp_path: Path) -> dict[str, Home]:
    return {machine(number).name: Home(tmp_path / machine(number).name) for number in (1, 2, 3)}


def connected(homes: dict[str, Home]) -> HostConnections:
    return HostConnections(
        lambda target: homes[target.address],
        lambda target: pytest.fail("no login is needed"),
        lambda: False,
        SCRIPTS,
        Output(lambda event: None),
        "ann@laptop",
        30,
    )


def releases(*names: str) -> dict[str, Release]:
    return {name: Release("1-2", name, Version("1"), "d", (), ports=("127.0.0.1:80/tcp",)) for name in names}


MACHINES = (machine(1), machine(2), machine(3))
FOUR = PlacementConfig(4)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_host_lists_its_stacks_and_tells_the_facts_of_those_that_are_asked_for(tmp_path: Path, shell: str) -> None:
    home = Home(tmp_path / "host", shell)
    home.put("app-1", "blog-1")
    # What `dev remove` leaves is no stack; with `--keep-volumes`, it is.
    (home.path / ".kamal-dev/app-2").mkdir()
    (home.path / ".kamal-dev/app-2/audit.log").write_text("{}\n")
    (home.path / ".kamal-dev/app-3/workspace/app").mkdir(parents=True)
    (home.path / ".kamal-dev/app-3/workspace/app/README").touch()
    (home.path / ".kamal-dev/.claims").mkdir()
    asked = [commands.question(name, ("debian:12",), ("127.0.0.1:80/tcp",)) for name in ("app-1", "app-2", "app-3")]
    survey = surveys.surveyed(home.run(surveys.survey(SCRIPTS, asked, is_deep=True)).output)
    assert survey
    assert {*survey.stacks} == {"app-1", "app-3", "blog-1"}
    assert {*survey.facts} == {"app-1", "app-3"}
    assert (survey.facts["app-1"].workspace, survey.facts["app-3"].workspace) == ((), ("app",))
    assert survey.memory > 1 << 28
    assert survey.cpus == os.cpu_count()
    assert survey.disk_free > 0


def test_a_bare_host_has_no_stack(tmp_path: Path) -> None:
    home = Home(tmp_path / "host")
    survey = surveys.surveyed(home.run(surveys.survey(SCRIPTS, [commands.question("app-1")])).output)
    assert survey
    assert (survey.stacks, survey.facts) == ((), {})
    assert not (home.path / ".kamal-dev").exists(), "it was only asked"


def test_what_a_host_says_is_input() -> None:
    assert surveys.surveyed("") is None
    hostile = {"type": "survey", "stacks": ["../x", "app-1", "-x"], "memory": 1, "cpus": 1, "disk_free": 1, "facts": {}}
    survey = surveys.surveyed(json.dumps(hostile))
    assert survey
    assert survey.stacks == ("app-1",)
    assert surveys.surveyed(json.dumps({**hostile, "stacks": "app-1"})) is None


@pytest.mark.parametrize("shell", SHELLS)
def test_a_name_goes_to_the_host_that_claimed_it_first_for_an_hour(tmp_path: Path, shell: str) -> None:
    home = Home(tmp_path / "host", shell)

    def claimed(**hosts: str) -> dict[str, str]:
        return surveys.claimed(home.run(surveys.claim(SCRIPTS, hosts)).output)

    assert claimed(a="10.0.0.1", b="10.0.0.2:2222") == {"a": "10.0.0.1", "b": "10.0.0.2:2222"}
    assert claimed(a="10.0.0.3", c="10.0.0.3") == {"a": "10.0.0.1", "c": "10.0.0.3"}
    long_ago = time.time() - 3700
    os.utime(home.path / ".kamal-dev/.claims/a", (long_ago, long_ago))
    assert claimed(a="10.0.0.3", b="10.0.0.3") == {"a": "10.0.0.3", "b": "10.0.0.2:2222"}


NAMES = ("app:8080:80/tcp", "app:9000:9000/udp")


def allotted(home: Home, stack: str, first: int, last: int, *names: str) -> dict[str, int]:
    return host_ports(surveys.allotted(home.run(surveys.allot(SCRIPTS, stack, (first, last), names)).output))


@pytest.mark.parametrize("shell", SHELLS)
def test_a_stack_gets_free_ports_of_its_host_and_keeps_them(tmp_path: Path, shell: str) -> None:
    home = Home(tmp_path / "host", shell)
    home.put("app-1", "app-2")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = taken.getsockname()[1]
        known = allotted(home, "app-1", first, first + 40, *NAMES)
        assert {*known} == {*NAMES}
        assert first < known[NAMES[0]] < known[NAMES[1]] < first + 40
    other = allotted(home, "app-2", first, first + 40, NAMES[0])
    assert not {*other.values()} & {*known.values()}
    again = allotted(home, "app-1", first, first + 40, "app:1:1/tcp", *NAMES)
    assert {name: again[name] for name in NAMES} == known
    assert again["app:1:1/tcp"] not in (*known.values(), *other.values())
    survey = surveys.surveyed(home.run(surveys.survey(SCRIPTS, [commands.question("app-1")])).output)
    assert survey
    assert survey.facts["app-1"].host_ports == again


def test_a_host_without_a_free_port_says_so(homes: dict[str, Home]) -> None:
    home = homes["10.0.0.1"]
    port = allotted(home, "app-1", 40000, 49999, NAMES[0])[NAMES[0]]
    refused = home.run(surveys.allot(SCRIPTS, "app-2", (port, port), NAMES[:1]))
    assert answers.outcome(refused.output).reason == f"no port is free between {port} and {port}"
    assert allotted(home, "app-1", port, port, NAMES[0]) == {NAMES[0]: port}


def test_a_range_of_ports_can_be_set_per_stack() -> None:
    assert PortRange().of(7) == (20000, 29999)
    assert [PortRange(8000, 8055, 20).of(index) for index in (1, 2, 3)] == [(8000, 8019), (8020, 8039), (8040, 8055)]


def test_what_a_host_says_of_ports_is_input() -> None:
    assert host_ports(("app:1:1/tcp 20000", "x 70000000", "x -1", "20001", "")) == {"app:1:1/tcp": 20000}


def test_each_host_is_asked_once_however_many_stacks_it_has(homes: dict[str, Home]) -> None:
    homes["10.0.0.1"].put("app-1", "app-3", "app-5")
    homes["10.0.0.2"].put("app-2", "other-1")
    names = [f"app-{number}" for number in range(1, 7)]
    found = placed(connected(homes), MACHINES, FOUR, releases(*names))
    assert {name: host.address[-1] for name, host in found.placement.hosts.items()} == {
        "app-1": "1", "app-2": "2", "app-3": "1", "app-4": "3", "app-5": "1", "app-6": "3",
    }  # fmt: skip
    assert found.placement.new == ("app-4", "app-6")
    assert {*found.observed} == {"app-1", "app-2", "app-3", "app-5"}
    assert [home.transcript for home in homes.values()] == [["survey"]] * 3
    facts = found.observed["app-5"].facts
    assert facts
    assert facts.home == str(homes["10.0.0.1"].path)


def test_a_host_without_an_answer_stops_new_stacks_only(homes: dict[str, Home]) -> None:
    homes["10.0.0.1"].put("app-1")
    homes["10.0.0.2"].is_silent = True
    found = placed(connected(homes), MACHINES, FOUR, releases("app-1", "app-2"))
    assert found.observed["app-1"].error is None
    error = found.observed["app-2"].error
    assert str(error) == "app-2 was not placed: 10.0.0.2 does not answer, and may have it: no route to host"
    chosen = placed(connected(homes), MACHINES, FOUR, releases("app-1", "app-2"), on="10.0.0.3")
    assert chosen.placement.hosts["app-2"] == at(machine(3), "app-2")
    with pytest.raises(UsageError, match=r"`10\.0\.0\.9` is none of the hosts"):
        placed(connected(homes), MACHINES, FOUR, releases("app-1"), on="10.0.0.9")


def test_of_two_deploys_that_create_a_stack_the_second_uses_the_host_of_the_first(homes: dict[str, Home]) -> None:
    connections = connected(homes)
    names = [f"app-{number}" for number in range(1, 9)]

    def claimed(number: int) -> tuple[dict[str, Host], dict[str, DevError]]:
        return claim(connections, MACHINES, {name: at(machine(number), name) for name in names})

    assert claimed(1) == ({}, {})
    assert claimed(1) == ({}, {}), "its own claim is no obstacle"
    assert claimed(2) == ({name: at(machine(1), name) for name in names}, {})
    assert {len(home.transcript) for home in homes.values()} == {3}, "the names have homes on all hosts"
    homes["10.0.0.3"].is_silent = True
    moved, errors = claimed(2)
    assert {*moved} | {*errors} == {*names}
    assert errors


def test_the_rules_are_in_numbers() -> None:
    config = PlacementConfig(5, "pack", Require("4g", "0.5", "10g"))
    assert rules(config) == PlacementRules(5, True, 4 << 30, 0.5, 10 << 30)
    assert rules(FOUR) == PlacementRules(4)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_stack_looks_for_its_images_after_another_has_removed_its_own(tmp_path: Path, shell: str) -> None:
    home = Home(tmp_path / "host", shell)
    home.put("app-1")
    script = f"""
    here={FOLDER} && . "$here/lib.sh" && . "$here/stack.sh" && . "$here/images.sh" && . "$here/retention.sh"
    lock_images && (sleep 1 && echo removed && exec 8<&-) &
    sleep 0.3
    await_removal && echo looked
    wait
    """
    done = home.run(Step(("sh", "-c", script)))
    assert done.output.split() == ["removed", "looked"]


# --- connections


def test_stacks_on_one_host_share_connections_within_what_sshd_allows(tmp_path: Path) -> None:
    shells = HostShells()
    trust = Trust(tmp_path / "known_hosts", "accept-new", True, 10)
    hosts = [machine(1), *(at(machine(1), f"app-{number}") for number in range(1, 10)), at(machine(2), "app-10")]
    opened = [shells.of(host, trust, lambda text: None) for host in hosts]
    assert [opened.index(each) for each in opened] == [0] * SHARING + [SHARING] * SHARING + [10]
    assert [shells.of(host, trust, lambda text: None) for host in hosts] == opened
    shells.close()


class Answering(Recorder):
    """A host that answers `status` for ten stacks."""

    def __init__(self, stacks: Iterable[str]) -> None:
        super().__init__("host")
        self.stacks = tuple(stacks)

    def run(self, step: Step, **_: Any) -> Result:
        """Answer with a stack per line."""
        self.transcript.append(step.text)
        events = [{"type": "stack", "stack": name, "state": "up"} for name in self.stacks]
        lines = (json.dumps(event) for event in (*events, {"type": "result", "ok": True}))
        return Result(step, 0, "\n".join(lines), "")


CONFIG = """\
service: app
provider: {type: static, hosts: [10.0.0.1, 10.0.0.2, 10.0.0.3]}
placement: {per_host: 10}
"""


def test_the_status_of_thirty_stacks_on_three_hosts_takes_one_connection_and_one_exec_per_host(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/dev.yml").write_text(CONFIG)
    (tmp_path / ".devcontainer").mkdir()
    (tmp_path / ".devcontainer/devcontainer.json").write_text('{"image": "debian:12"}')
    opened: dict[Host, Answering] = {}

    def connect(target: Host) -> Answering:
        number = int(target.address[-1])
        names = [f"app-{index}" for index in range(number, 31, 3)]
        return opened.setdefault(target, Answering((*names, "other-1")))

    run = OneHost.open(
        tmp_path, Output(lambda event: None), environment={"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    )
    run.__dict__["connections"] = HostConnections(
        connect, run.way, lambda: False, SCRIPTS, run.output, "ann@laptop", 30
    )
    try:
        found = statuses(run)
        chosen = statuses(run, ("app-1*",))
    finally:
        run.close()
    assert [stack.name for stack in found] == [f"app-{index}" for index in range(1, 31)]
    assert {stack.host.address for stack in found[:3]} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert [host.transcript for host in opened.values()] == [["status", "status"]] * 3, "for the two questions"
    assert len(chosen) == 11


def test_the_list_forgets_stacks_that_a_host_no_longer_has_but_not_those_of_a_silent_one(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/dev.yml").write_text(CONFIG)
    (tmp_path / ".devcontainer").mkdir()
    (tmp_path / ".devcontainer/devcontainer.json").write_text('{"image": "debian:12"}')
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    run = OneHost.open(tmp_path, Output(lambda event: None), environment=environment)
    hosts = {"10.0.0.1": Answering(("app-1",)), "10.0.0.2": Answering(()), "10.0.0.3": Home(tmp_path / "silent")}
    hosts["10.0.0.3"].is_silent = True  # type: ignore[union-attr]
    run.__dict__["connections"] = HostConnections(
        lambda target: hosts[target.address], run.way, lambda: False, SCRIPTS, run.output, "ann@laptop", 30
    )
    remembered = [CachedHost(f"app-{number}", f"10.0.0.{number}", provider="static") for number in (1, 2, 3)]
    state.update(run.project.private(), lambda before: before.ended(remembered, ()))
    try:
        stacks = listed(run)
    finally:
        run.close()
    assert [(stack.name, stack.state) for stack in stacks] == [("app-1", "up"), ("app-3", "unreachable")]
    assert [item.stack for item in state.read(run.project.private()).state.hosts] == ["app-1", "app-3"]


def test_the_doctor_checks_each_host_once(homes: dict[str, Home]) -> None:
    project = cast(Project, SimpleNamespace(devcontainer=SimpleNamespace(host_requirements={}, where=lambda key: key)))
    homes["10.0.0.2"].is_silent = True
    places = {machine.name: machine for machine in MACHINES}
    checks = host_checks(project, places, connected(homes), only_warns=False)
    assert [check.name for check in checks] == ["hosts", "host 10.0.0.1", "host 10.0.0.2", "host 10.0.0.3"]
    assert "no route to host" in checks[2].message
    assert [home.transcript for home in homes.values()] == [["facts none"], [], ["facts none"]]
