"""The address pools of a host that stacks share: added where that interrupts nobody, and a host that has none left."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from kamal_dev.commands import answers, events, host
from tests.host.lab import TINY, Answer, Lab, release, service, token

pytestmark = pytest.mark.real

SETTINGS, DECIDED = "/etc/docker/daemon.json", "/root/.kamal-dev/.pools"
POOLS = "default-address-pools"
OWN = {"log-opts": {"max-size": "10m"}, "labels": ["rack=}{"]}
# The engine takes one range for its own bridge: there is one left.
TINY_POOL = [{"base": "10.201.0.0/28", "size": 29}]


@pytest.fixture
def settings(lab: Lab) -> Iterator[Lab]:
    """The host, which gets its own settings back."""
    before = lab.sh(f"cat {SETTINGS}")
    yield lab
    restart(lab, json.loads(before))


def restart(lab: Lab, settings: Mapping[str, Any]) -> None:
    """Restart the engine with these settings, as if bootstrap had never been there."""
    lab.sh(f"rm -f {DECIDED}; echo '{json.dumps(settings)}' >{SETTINGS}; chmod 640 {SETTINGS}")
    # systemd refuses to start a unit that was started too often.
    lab.sh("systemctl reset-failed docker; systemctl restart docker")
    lab.sh("timeout 60 sh -c 'until docker version; do sleep 0.1; done' >/dev/null 2>&1")


def found(lab: Lab) -> dict[str, Any]:
    """Return the settings, without the one that every host in a container gets."""
    settings = json.loads(lab.sh(f"cat {SETTINGS}"))
    return {name: value for name, value in settings.items() if name != "cgroup-parent"}


def shared(lab: Lab, scripts: Mapping[str, str]) -> Answer:
    answer = lab.run(host.bootstrap(scripts, token(), host.question("x-1"), adds_pools=True))
    assert answer.outcome.ok, answer
    return answer


def logged(answer: Answer) -> list[str]:
    said = (answers.event(line) for line in answer.output.splitlines())
    return [event.text for event in said if isinstance(event, events.Log) and "pools" in event.text]


def daemon(lab: Lab) -> str:
    return lab.sh("cat /var/run/docker.pid")


def test_an_engine_on_which_nothing_runs_is_restarted_with_pools_and_all_of_its_own_settings(
    settings: Lab, scripts: Mapping[str, str]
) -> None:
    restart(settings, OWN)
    assert settings.run(host.facts(scripts, "x-1")).facts.needs_pools
    answer = shared(settings, scripts)
    assert logged(answer) == [f"Added address pools to {SETTINGS} and restarted Docker: no container was running"]
    assert answer.outcome.changed
    after = found(settings)
    assert len(after.pop(POOLS)) == 5
    assert after == OWN
    assert settings.sh(f"stat -c %a {SETTINGS}; docker info --format '{{{{len .DefaultAddressPools}}}}'") == "640\n5"
    assert answer.facts.lacks_pools is False
    before = daemon(settings)
    assert logged(shared(settings, scripts)) == []
    assert daemon(settings) == before


def test_pools_that_a_host_has_are_not_changed(settings: Lab, scripts: Mapping[str, str]) -> None:
    mine = {POOLS: [{"base": "10.200.0.0/16", "size": 24}], **OWN}
    restart(settings, mine)
    before = daemon(settings)
    assert not settings.run(host.facts(scripts, "x-1")).facts.needs_pools
    assert logged(shared(settings, scripts)) == []
    assert (found(settings), daemon(settings)) == (mine, before)


def test_containers_that_run_are_not_interrupted_and_it_is_said_when_the_pools_are_used(
    settings: Lab, scripts: Mapping[str, str]
) -> None:
    restart(settings, OWN)
    settings.sh(f"docker run --detach --name guest {TINY}")
    try:
        before = daemon(settings)
        (line,) = logged(shared(settings, scripts))
        assert line == (
            f"Added address pools to {SETTINGS}; they are used once Docker is restarted, "
            "which was not done because containers are running"
        )
        assert settings.sh("docker inspect --format '{{.State.Running}}' guest") == "true"
        assert (daemon(settings), len(found(settings)[POOLS])) == (before, 5)
        assert logged(shared(settings, scripts)) == [], "it was said once"
    finally:
        settings.sh("docker rm --force guest")


def test_settings_that_cannot_be_changed_are_named_and_the_engine_is_kept(
    settings: Lab, scripts: Mapping[str, str]
) -> None:
    restart(settings, OWN)
    settings.sh(f"mv {SETTINGS} {SETTINGS}.real; ln -s daemon.json.real {SETTINGS}")
    try:
        before = daemon(settings)
        assert logged(shared(settings, scripts)) == [
            f"Could not add address pools to {SETTINGS}: it is a symbolic link"
        ]
        assert daemon(settings) == before
        assert logged(shared(settings, scripts)) == []
    finally:
        settings.sh(f"mv {SETTINGS}.real {SETTINGS}")


def test_a_release_for_whose_networks_no_addresses_are_left_stops_nothing(
    settings: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    restart(settings, {POOLS: TINY_POOL})
    networks = "networks: {front: {}, back: {}}\n"
    first = release(stack, "v1", app=service())
    assert settings.run(host.apply(scripts, token(), first, window=0)).outcome.state == "new"
    started = settings.sh("docker inspect --format '{{.State.StartedAt}}' $(docker ps --quiet)")
    joined = release(stack, "v2", networks=("back", "front"), extra=networks, app=service(networks="[front, back]"))
    outcome = settings.run(host.apply(scripts, token(), joined, window=0)).outcome
    assert (outcome.ok, outcome.state, outcome.code) == (False, "untouched", "networks"), outcome
    assert outcome.reason == (
        "Docker has no address range left for 2 networks (back, front): its address pools are used up"
    )
    assert settings.sh("docker inspect --format '{{.State.StartedAt}}' $(docker ps --quiet)") == started
    assert outcome.current == first.id
    assert "kamal-dev-try" not in settings.sh("docker network ls")

    other = release(f"{stack}b", "v1", networks=("default",), app=service())
    refused = settings.run(host.apply(scripts, token(), other, window=0)).outcome
    assert (refused.ok, refused.code, refused.containers) == (False, "networks", ())
    assert refused.reason == "Docker has no address range left for another network: its address pools are used up"
    settings.run(host.remove(scripts, f"{stack}b"))

    restart(settings, {POOLS: [{"base": "10.201.0.0/24", "size": 29}]})
    assert settings.run(host.apply(scripts, token(), joined, window=0)).outcome.state == "new"
