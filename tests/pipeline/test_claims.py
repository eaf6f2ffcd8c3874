"""Which hosts are asked about the claims of names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

import pytest

from kamal_dev.errors import HostUnreachable
from kamal_dev.model import Host, Result, Step
from kamal_dev.output import Output
from kamal_dev.pipeline.hosts.placing import claim_steps, give_up_claims
from kamal_dev.pipeline.run.connections import HostConnections

MACHINES = tuple(Host(f"10.0.0.{number}", f"10.0.0.{number}") for number in (1, 2, 3))
NAMES = tuple(f"blog-{number}" for number in range(1, 13))


def home(name: str) -> Host:
    return MACHINES[crc32(name.encode()) % 3]


class Asked:
    """Keep the steps for each host; `off` does not answer."""

    def __init__(self, off: Host | None = None) -> None:
        self.steps: dict[Host, Step] = {}
        self._off = off
        scripts = {f"{name}.sh": "" for name in ("lib", "engine", "claim")}
        self.connections = HostConnections(self._remote, None, lambda: False, scripts, Output(print), "me", 2)  # type: ignore[arg-type]

    def _remote(self, host: Host) -> Any:
        return _Remote(self, host)

    def ran(self, host: Host, step: Step) -> Result:
        self.steps[host] = step
        if host == self._off:
            raise HostUnreachable(host.name, "no route")
        return Result(step, 0, '{"type":"result","ok":true,"phase":"claim"}\n')


class _Remote:
    def __init__(self, asked: Asked, host: Host) -> None:
        self._asked, self._host = asked, host

    def run(self, step: Step, **_: Any) -> Result:
        return self._asked.ran(self._host, step)


def words(steps: Mapping[Host, Step]) -> dict[Host, set[str]]:
    return {host: {*step.text.split()[1:]} for host, step in steps.items()}


def test_each_name_is_claimed_at_its_home_or_at_the_registrar() -> None:
    scripts = Asked().connections.scripts
    hosts = {name: replace(MACHINES[0], name=name) for name in NAMES}
    steps = claim_steps(scripts, MACHINES, hosts)
    assert words(steps) == {
        machine: {name for name in NAMES if home(name) == machine}
        for machine in MACHINES
        if any(home(name) == machine for name in NAMES)
    }
    assert words(claim_steps(scripts, MACHINES, hosts, MACHINES[2])) == {MACHINES[2]: {*NAMES}}


@pytest.mark.parametrize("off", [None, *MACHINES])
def test_claims_that_the_host_of_the_stack_does_not_keep_are_given_up(off: Host | None) -> None:
    asked = Asked(off)
    give_up_claims(asked.connections, MACHINES, {name: replace(MACHINES[0], name=name) for name in NAMES})
    assert words(asked.steps) == {
        machine: {name for name in NAMES if home(name) == machine} for machine in MACHINES[1:]
    }


def test_a_registrar_gives_up_all_claims_in_one_step() -> None:
    asked, registrar = Asked(), Host("manager", "10.0.0.9")
    give_up_claims(asked.connections, MACHINES, {name: replace(MACHINES[0], name=name) for name in NAMES}, registrar)
    assert words(asked.steps) == {registrar: {*NAMES}}
