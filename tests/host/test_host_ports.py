"""Ports of a host that somebody else holds, on a real host: who it is, before a release is applied and after."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kamal_dev.commands import host
from tests.host.lab import TINY, Lab, release, service, token

pytestmark = pytest.mark.real
WANTED = ("127.0.0.1:18000/tcp", "0.0.0.0:18001/tcp", "127.0.0.1:18002/udp", "127.0.0.1:18003/tcp")


def test_who_holds_a_port_is_named_before_and_when_a_release_is_applied(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    lab.sh(f"docker run -d --name {stack}-alone -p 127.0.0.1:18000:80 {TINY} /bin/busybox sleep 300")
    label = "--label com.docker.compose.project=shop-2"
    lab.sh(f"docker run -d --name {stack}-shop {label} -p 127.0.0.1:18001:80 {TINY} /bin/busybox sleep 300")
    try:
        lab.sh("mkdir -p ~/.kamal-dev/shop-2/releases")
        found = lab.run(host.facts(scripts, stack, ports=WANTED)).facts.clashes
        assert [(clash.port, clash.holder) for clash in found] == [
            ("127.0.0.1:18000/tcp", f"the container `{stack}-alone`"),
            ("0.0.0.0:18001/tcp", "the stack `shop-2`"),
        ]
        wanted = release(stack, "v1", app=f"{service()}    ports: ['127.0.0.1:18000:80']\n")
        outcome = lab.run(host.apply(scripts, token(), wanted, window=1, timeout=30)).outcome
        assert not outcome.ok
        assert outcome.reason == f"port 18000 is in use by the container `{stack}-alone`"
    finally:
        lab.sh(f"docker rm --force {stack}-alone {stack}-shop; rm -rf ~/.kamal-dev/shop-2")


def test_the_stack_s_own_ports_are_free_for_it(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    wanted = release(stack, "v1", app=f"{service()}    ports: ['127.0.0.1:18003:80']\n")
    assert lab.run(host.apply(scripts, token(), wanted, window=1, timeout=60)).outcome.ok
    assert lab.run(host.facts(scripts, stack, ports=WANTED)).facts.clashes == ()
    other = lab.run(host.facts(scripts, "other-1", ports=WANTED)).facts.clashes
    assert [(clash.port, clash.holder) for clash in other] == [(WANTED[3], f"the stack `{stack}`")]
