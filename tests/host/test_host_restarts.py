"""The restart policy of services that set none, on a real host: who gets it, and when."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pytest

from kamal_dev.model import Release, StartedService
from tests.host.lab import Lab, release, service
from tests.host.test_host_apply import HEALTHY, MAIN, apply

pytestmark = pytest.mark.real

SERVER = '["/bin/busybox", "httpd", "-f", "-p", "8080"]'
WORKER = '["/bin/sh", "-c", "while /bin/busybox sleep 1; do /bin/busybox date; done"]'
SLOW = '["/bin/sh", "-c", "echo >>/data/runs; for i in 1 2 3 4; do /bin/busybox sleep 1; done; exit 0"]'
ONCE = '["/bin/busybox", "true"]'


def of(stack: str, policy: str, *, version: str = "v1") -> Release:
    names = ("app", "db", "server", "worker", "slow", "once")
    services = {
        "app": service(labels=MAIN),
        "db": service(healthcheck=HEALTHY),
        "server": service(SERVER, expose='["8080"]'),
        "worker": service(WORKER),
        "slow": service(SLOW, volumes='["data:/data"]'),
        "once": service(ONCE),
    }
    started = tuple(
        StartedService(name, ports=("8080/tcp",) if name == "server" else (), restart=policy) for name in names
    )
    return release(
        stack,
        version,
        extra="  own:\n" + service(restart='"no"') + "volumes: {data: {}}\n",
        started=started,
        **services,
    )


def policies(lab: Lab, stack: str) -> dict[str, str]:
    shown = '{{index .Config.Labels "com.docker.compose.service"}} {{.HostConfig.RestartPolicy.Name}}'
    listed = f"docker ps --all --quiet --filter label=com.docker.compose.project={stack}"
    lines = lab.sh(f"docker inspect --format '{shown}' $({listed})").splitlines()
    return dict(line.split(" ") for line in lines)


def test_what_goes_on_is_restarted_and_a_one_shot_is_not(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    outcome = apply(lab, scripts, of(stack, "unless-stopped")).outcome
    assert outcome.ok, outcome
    assert policies(lab, stack) == {
        "app": "unless-stopped",
        "db": "unless-stopped",
        "server": "unless-stopped",
        "worker": "on-failure",
        "slow": "on-failure",
        "once": "no",
        "own": "no",
    }
    lab.sh(f"docker exec {stack}-server-1 /bin/busybox kill -KILL -1", check=False)  # it may end with its container
    restarts = f"docker inspect --format '{{{{.RestartCount}}}} {{{{.State.Running}}}}' {stack}-server-1"
    deadline = time.monotonic() + 20
    while lab.sh(restarts) != "1 true":
        assert time.monotonic() < deadline, lab.sh(restarts)
        time.sleep(0.3)
    lab.sh(f"docker wait {stack}-slow-1")
    time.sleep(1)
    state = f"docker inspect --format '{{{{.State.Status}}}} {{{{.RestartCount}}}}' {stack}-slow-1"
    assert lab.sh(state) == "exited 0"
    lab.sh(f"docker exec {stack}-server-1 /bin/busybox true")


def test_restart_no_takes_the_policy_away_and_replaces_no_container(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    apply(lab, scripts, of(stack, "unless-stopped"))
    # Also those that have ended: the engine would start one that failed when it starts itself.
    lab.sh(f"docker wait {stack}-slow-1")
    listed = f"docker ps --all --quiet --filter label=com.docker.compose.project={stack} | sort"
    containers = lab.sh(listed)
    outcome = apply(lab, scripts, of(stack, "no", version="v2")).outcome
    assert outcome.ok, outcome
    assert set(policies(lab, stack).values()) == {"no"}
    assert lab.sh(listed) == containers
