"""Bootstrap on real hosts: from nothing, again, and where it cannot work."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping

import pytest

from kamal_dev.commands import answers, events, host
from kamal_dev.commands.facts import numbers_of
from tests.host.lab import LABEL, Bootstrapped, Lab, token
from tests.hosts import bare, docker

pytestmark = pytest.mark.real


@pytest.fixture
def plain(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """A Debian without network, sshd and systemd."""
    name = f"kamal-dev-test-plain-{uuid.uuid4().hex[:6]}"
    bare()  # debian:12 is there after it
    docker("run", "--detach", "--network", "none", "--label", LABEL, "--name", name, "debian:12", "sleep", "600")
    yield Lab(name)
    docker("rm", "--force", name)


def test_facts_of_a_bare_host_say_what_is_missing(bootstrapped: Bootstrapped) -> None:
    facts = bootstrapped.before
    assert (facts.user, facts.home, facts.privilege) == ("dev", "/home/dev", "sudo")
    assert (facts.os, facts.os_version) == ("debian", "12")
    assert facts.arch in ("amd64", "arm64")
    assert (facts.engine, facts.compose, facts.daemon, facts.is_ready) == ("", "", False, False)
    assert (facts.has_engine, facts.trouble) == (False, "Docker is not installed on this host")
    assert facts.disk_free > 1 << 20
    assert facts.memory > 1 << 20
    assert facts.cpus >= 1
    assert facts.held("postgres:15") is None
    assert (facts.release, facts.intact, facts.lock, facts.workspace) == (None, False, None, ())


def test_versions_are_asked_for_once_for_as_long_as_the_programs_are_the_same(
    lab: Lab, scripts: Mapping[str, str]
) -> None:
    lab.sh("mkdir -p -m 700 /root/.kamal-dev")
    known = "/root/.kamal-dev/.engine"
    asked = lab.run(host.facts(scripts, "x-1")).facts.compose
    lab.sh(f"sed -i '3s/.*/9.9.9/' {known}")
    assert lab.run(host.facts(scripts, "x-1")).facts.compose == "9.9.9"
    lab.sh(f"sed -i '1s/docker/dockre/' {known}")
    assert lab.run(host.facts(scripts, "x-1")).facts.compose == asked


def test_a_user_whose_sudo_asks_for_a_password_is_told_so(bootstrapped: Bootstrapped) -> None:
    outcome = bootstrapped.refused.outcome
    assert (outcome.ok, outcome.code, outcome.changed) == (False, "privilege", False)
    assert "sudo asks `asked` for a password" in outcome.reason
    assert bootstrapped.refused.code == 1


def test_a_bare_host_gets_docker_and_compose(bootstrapped: Bootstrapped) -> None:
    outcome = bootstrapped.first.outcome
    assert outcome.ok, bootstrapped.first
    assert outcome.changed
    assert numbers_of(outcome.engine) >= (20, 10)
    assert numbers_of(outcome.compose) >= (2, 24, 4)
    facts = outcome.facts
    assert facts and (facts.is_ready, facts.engine, facts.compose) == (True, outcome.engine, outcome.compose)
    lab = bootstrapped.lab
    assert lab.sh("systemctl is-enabled docker; systemctl is-active docker") == "enabled\nactive"
    assert "docker" in lab.sh("id -nG dev").split()
    assert lab.sh("docker version --format '{{.Server.Version}}'", user="dev") == outcome.engine


def test_cloud_init_and_the_locks_of_a_first_boot_are_waited_for(bootstrapped: Bootstrapped) -> None:
    assert "status --wait" in bootstrapped.lab.sh("cat /tmp/cloud-init.calls")
    told = [answers.event(line) for line in bootstrapped.first.output.splitlines()]
    assert events.Log("Waiting for cloud-init") in told
    assert not [event for event in told if isinstance(event, events.Log) and "error" in event.text]
    assert bootstrapped.first.seconds > 5


def test_only_docker_comes_from_the_newer_suite(bootstrapped: Bootstrapped) -> None:
    lab = bootstrapped.lab
    assert "deb12" in lab.sh("dpkg-query --show --showformat '${Version}' libc6 base-files")
    assert lab.sh("find /etc/apt /etc/docker -type f ! -perm -o=r ! -path '*/keyrings/*'") == ""


def test_a_host_has_addresses_for_many_stacks(bootstrapped: Bootstrapped) -> None:
    lab = bootstrapped.lab
    pools = json.loads(lab.sh("cat /etc/docker/daemon.json"))["default-address-pools"]
    assert {pool["size"] for pool in pools} == {24}
    lab.sh("for each in $(seq 40); do docker network create many-$each; done")
    lab.sh("docker network rm $(docker network ls --quiet --filter name=many-)")


def test_the_second_time_nothing_is_done(bootstrapped: Bootstrapped) -> None:
    outcome = bootstrapped.second.outcome
    assert (outcome.ok, outcome.changed) == (True, False)
    assert events.Log not in [type(answers.event(line)) for line in bootstrapped.second.output.splitlines()]


def test_a_user_without_any_rights_is_told_so(lab: Lab, scripts: Mapping[str, str]) -> None:
    outcome = lab.run(host.bootstrap(scripts, token()), user="nobody-special").outcome
    assert outcome.code == "privilege"
    assert "is not root and has no sudo" in outcome.reason


def test_a_stopped_daemon_is_started_again(lab: Lab, scripts: Mapping[str, str]) -> None:
    lab.sh("systemctl disable --now docker docker.socket 2>/dev/null")
    assert not lab.run(host.facts(scripts, "x-1")).facts.is_ready
    outcome = lab.run(host.bootstrap(scripts, token()), user="dev").outcome
    assert (outcome.ok, outcome.changed) == (True, True)
    assert lab.sh("systemctl is-enabled docker; systemctl is-active docker") == "enabled\nactive"


def test_a_daemon_that_does_not_start_is_reported_with_its_last_words(lab: Lab, scripts: Mapping[str, str]) -> None:
    lab.sh(
        "systemctl stop docker docker.socket; mkdir -p /etc/docker; echo '{\"nonsense\": 1}' >/etc/docker/daemon.json"
    )
    try:
        outcome = lab.run(host.bootstrap(scripts, token())).outcome
        assert (outcome.ok, outcome.code) == (False, "daemon")
        assert "nonsense" in outcome.reason
        # The image of this host names the group of its engine there, and bootstrap nothing.
        settings = json.loads(lab.sh("cat /etc/docker/daemon.json"))
        assert {name: value for name, value in settings.items() if name != "cgroup-parent"} == {"nonsense": 1}
    finally:
        lab.sh("rm /etc/docker/daemon.json; systemctl reset-failed docker; systemctl start docker")


def test_an_unknown_system_is_refused_by_its_name(plain: Lab, scripts: Mapping[str, str]) -> None:
    plain.sh("printf 'ID=alpine\\nPRETTY_NAME=\"Alpine Linux v3.20\"\\n' >/etc/os-release")
    outcome = plain.run(host.bootstrap(scripts, token())).outcome
    assert (outcome.code, outcome.changed) == ("system", False)
    assert "this host runs Alpine Linux v3.20" in outcome.reason


@pytest.mark.parametrize(
    ("system", "reason"),
    [
        ("ID=debian\nVERSION_CODENAME=bookworm\nPRETTY_NAME='Debian 12'", "no mirror has suite bookworm"),
        ("ID=debian\nVERSION_CODENAME=trixie\nPRETTY_NAME='Debian 13'", "docker.io"),
        ("ID=debian\nVERSION_CODENAME=bullseye\nPRETTY_NAME='Debian 11'", "Debian 11 has no Compose v2 package"),
        ("ID=ubuntu\nVERSION_CODENAME=noble\nPRETTY_NAME='Ubuntu 24.04'", "docker-compose-v2"),
    ],
)
def test_a_host_that_reaches_no_packages_says_so(
    plain: Lab, scripts: Mapping[str, str], system: str, reason: str
) -> None:
    plain.sh(f"cat >/etc/os-release <<'END'\n{system}\nEND")
    outcome = plain.run(host.bootstrap(scripts, token())).outcome
    assert outcome.code in ("network", "packages"), outcome
    assert reason in outcome.reason
