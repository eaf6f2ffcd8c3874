"""Stacks that stay up, through `dev deploy`: a host that reboots, services that fail, and who is told about it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from tests.real.lab import DOCKERFILE, Host, Lab, Repository, docker, wait_for
from tests.webhook import Webhook, listening

PERL = (
    "$$s = IO::Socket::INET->new(LocalPort => 8000, Listen => 5, ReuseAddr => 1);"
    'while ($$c = $$s->accept) { print $$c "HTTP/1.0 200 OK\\r\\n\\r\\nhello\\n"; close $$c }'
)
WORKER = "trap 'exit 0' TERM; while sleep 1; do date; done"
COMPOSE = f"""\
services:
  app:
    build: .
    volumes: ["..:/workspace"]
  web:
    build: .
    command: {json.dumps(["perl", "-MIO::Socket::INET", "-e", PERL])}
    ports: ["8123:8000"]
    stop_grace_period: 1s
  worker:
    build: .
    stop_signal: SIGTERM
    command: {json.dumps(["bash", "-c", WORKER])}
  seed:
    build: .
    command: ["bash", "-c", "echo >>/data/runs"]
    volumes: ["seeded:/data"]
volumes: {{seeded: {{}}}}
"""
DEVCONTAINER = {
    "dockerComposeFile": "compose.yaml",
    "service": "app",
    "workspaceFolder": "/workspace",
    "postCreateCommand": "echo created >>history",
    "postStartCommand": "echo started >>history",
}
PATIENCE = 180
TOKEN = "at-0123456789abcdef"


class Alerts(NamedTuple):
    """The alerts that arrived at the webhook."""

    webhook: Webhook

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return self.webhook.delivered("dev")

    def states(self, service: str) -> list[str]:
        return [body["state"] for body in self.bodies if body["service"] == service]


@pytest.fixture(scope="module")
def alerts() -> Iterator[Alerts]:
    """A web server that refuses the first request of each path."""

    def answer(webhook: Webhook, line: str) -> int:
        return 204 if line in [request.line for request in webhook.requests] else 503

    with listening(answer, "0.0.0.0") as webhook:
        yield Alerts(webhook)


@dataclass(frozen=True)
class StandingStack:
    repository: Repository
    host: Host
    stack: str

    @property
    def history(self) -> list[str]:
        return self.host.run(f"cat ~/.kamal-dev/{self.stack}/workspace/*/history").split()

    def crash(self, service: str) -> None:
        """End the first process of a service as a crash does: the engine is not told."""
        pid = f"docker inspect --format '{{{{.State.Pid}}}}' {self.stack}-{service}-1"
        self.host.run(f"pid=$({pid}); [ $pid = 0 ] || kill -KILL $pid")


@pytest.fixture(scope="module")
def standing(lab: Lab, alerts: Alerts) -> StandingStack:
    files = {
        ".devcontainer/devcontainer.json": json.dumps(DEVCONTAINER),
        ".devcontainer/Dockerfile": DOCKERFILE,
    }
    repository = lab.small(
        "standing", [], files, compose=COMPOSE, ALERTS_TOKEN=TOKEN, SLACK_WEBHOOK="http://172.17.0.1:1/none"
    )
    gateway = docker("network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}").strip()
    url = f"http://{gateway}:{alerts.webhook.port}"
    repository.environment["SLACK_WEBHOOK"] = f"{url}/slack"
    notify = {
        "webhook": f"{url}/dev",
        "header": "X-Token",
        "secret": "ALERTS_TOKEN",
        "slack": "SLACK_WEBHOOK",
        "command": "cat >>told",
        "calm": 5,
        "email": "ops@example.com",
    }
    repository.commit({"config/dev.yml": f"{lab.made_hosts(repository)}notify: {json.dumps(notify)}\n"})
    repository.dev("deploy", "--yes", timeout=420)
    (host,) = lab.hosts(repository)
    return StandingStack(repository, host, repository.stack())


UP = {"app": "running", "web": "running", "worker": "running", "seed": "exited 0"}


def comes_back(standing: StandingStack, before: dict[str, str], history: list[str], most: int = 1) -> None:
    """Wait until the stack is as it was, with containers that were started again, and postStartCommand run again.

    `history` is what it had run before; it runs once for each of the at most `most` starts of the engine.
    """
    host, stack = standing.host, standing.stack
    wait_for("the engine answers", lambda: host.says("docker version"), seconds=PATIENCE)
    try:
        wait_for("all services run again", lambda: host.states(stack) == UP, seconds=PATIENCE)
    except AssertionError:
        look = f"tail ~/.kamal-dev/{stack}/alerts.log ~/.kamal-dev/{stack}/running; systemctl status kamal-dev-0 docker"
        pytest.fail(f"{host.states(stack)}\n{host.run(f'{look} || true')}")
    after = host.started(stack)
    assert {name for name in before if before[name] != after[name]} == {"app", "web", "worker"}
    allowed = [history + ["started"] * times for times in range(1, most + 1)]
    wait_for("postStartCommand runs again", lambda: standing.history in allowed, seconds=PATIENCE)
    assert host.run(f"cat /var/lib/docker/volumes/{stack}_seeded/_data/runs") == "\n"
    wait_for("the stack is up", lambda: standing.repository.attempt("status").code == 0, seconds=PATIENCE)


def test_a_host_that_reboots_brings_its_stack_back(lab: Lab, standing: StandingStack, alerts: Alerts) -> None:
    host = standing.host
    assert host.run("systemctl is-enabled docker kamal-dev-0.service; systemctl is-active kamal-dev-0") == (
        "enabled\nenabled\nactive\n"
    )
    assert standing.history == ["created", "started"]
    before = host.started(standing.stack)
    docker("restart", "--time", "30", host.container, timeout=120)
    comes_back(standing, before, ["created", "started"])
    answer = "exec 3<>/dev/tcp/127.0.0.1/8123; cat <&3"
    assert host.run(f"bash -c '{answer}'").endswith("hello\n")
    assert alerts.bodies == []
    assert standing.repository.dev("alerts", "--json").json == []


def stays_stopped(host: Host) -> bool:
    """Stop the engine and see whether nothing of ours starts it; a question that it had not answered yet does, once."""
    host.run("systemctl stop docker 2>&1", timeout=120)
    time.sleep(10)
    return host.run("systemctl is-active docker docker.socket || true") == "inactive\nactive\n"


def test_an_engine_that_restarts_brings_the_stack_back(standing: StandingStack, alerts: Alerts) -> None:
    host = standing.host
    image = f"docker inspect --format '{{{{.Config.Image}}}}' {standing.stack}-worker-1"
    flags = "--detach --name others --label com.docker.compose.project=other --restart on-failure --stop-signal TERM"
    host.run(f'docker run {flags} $({image}) bash -c "{WORKER}"')
    before, history = host.started(standing.stack), standing.history
    tries = next((n for n in (1, 2, 3) if stays_stopped(host)), 0)
    assert tries, "the engine does not stay stopped"
    host.run("systemctl start docker", timeout=120)
    comes_back(standing, before, history, most=tries)
    assert (
        host.run("docker inspect --format '{{.State.Status}}' others; docker rm --force others") == "exited\nothers\n"
    )
    assert alerts.bodies == []


def test_a_host_that_loses_power_brings_its_stack_back(standing: StandingStack, alerts: Alerts) -> None:
    before, history = standing.host.started(standing.stack), standing.history
    docker("kill", standing.host.container)
    docker("start", standing.host.container, timeout=120)
    comes_back(standing, before, history)
    assert alerts.bodies == []


def test_a_service_that_flaps_is_one_message(standing: StandingStack, alerts: Alerts) -> None:
    for _ in range(6):
        standing.crash("web")
        time.sleep(1.5)
    wait_for("the webhook is called", lambda: alerts.states("web"), seconds=PATIENCE)
    time.sleep(10)
    (body,) = alerts.bodies
    assert body["stack"] == standing.stack
    assert body["state"] in ("restarted", "restarting", "crash loop")
    assert "last exit code 137" in body["reason"] or "exited with code 137" in body["reason"]
    wait_for("Slack is called", lambda: len(alerts.webhook.delivered("slack")) == 1, seconds=PATIENCE)
    assert alerts.webhook.delivered("slack")[0]["text"].startswith(f"{standing.stack}: web: ")
    tokens = {(each.line, each.headers["X-Token"], each.code) for each in alerts.webhook.requests}
    assert tokens == {
        (f"POST /{path}", token, code) for path, token in (("dev", TOKEN), ("slack", None)) for code in (503, 204)
    }
    told = standing.host.run(f"cat ~/.kamal-dev/{standing.stack}/workspace/told").splitlines()
    assert [json.loads(line)["service"] for line in told] == ["web"]
    (entry,) = [one for one in standing.repository.dev("alerts", "--json").json if one["state"] != "undelivered"]
    assert (entry["stack"], entry["service"], entry["state"]) == (standing.stack, "web", body["state"])


def test_what_a_deploy_stops_is_no_alert_and_what_it_repairs_has_recovered(
    standing: StandingStack, alerts: Alerts
) -> None:
    standing.host.run(f"docker stop --time 1 {standing.stack}-app-1")
    wait_for("the stop is told", lambda: alerts.states("app"), seconds=PATIENCE)
    standing.repository.commit({".devcontainer/message": "another\n"})
    standing.repository.dev("deploy")
    wait_for("it has recovered", lambda: len(alerts.states("app")) == 2, seconds=PATIENCE)
    assert alerts.states("app") == ["exited 137", "recovered"]
    assert {body["service"] for body in alerts.bodies} == {"web", "app"}


def test_a_disk_above_the_threshold_is_told(standing: StandingStack, alerts: Alerts) -> None:
    settings = (standing.repository.root / "config/dev.yml").read_text()
    standing.repository.commit({"config/dev.yml": settings.replace('"calm"', '"disk": 1, "calm"')})
    standing.repository.dev("deploy")
    standing.host.run(f"docker restart --time 1 {standing.stack}-worker-1")
    wait_for("the disk is told", lambda: [body for body in alerts.bodies if body["state"] == "disk"], seconds=PATIENCE)
    (body,) = [body for body in alerts.bodies if body["state"] == "disk"]
    assert body["reason"].endswith("full; `notify.disk` is 1%")
    standing.repository.commit({"config/dev.yml": settings})
    standing.repository.dev("deploy")
    wait_for("the disk has recovered", lambda: alerts.states("")[-1] == "recovered", seconds=PATIENCE)


def test_an_alert_is_told_once_on_a_full_disk(standing: StandingStack) -> None:
    """The state of incidents is kept where nothing new can be written."""
    script = """
folder=$(mktemp -d); mount -t tmpfs -o size=32k none "$folder"; trap 'umount "$folder"' EXIT
. ~/.kamal-dev/.watcher/incidents.sh
at() { debounce "$folder/incidents" "$1" 60 1800 recover; }
at 1000 </dev/null
dd if=/dev/zero of="$folder/fill" bs=1k 2>/dev/null
echo x >"$folder/more" 2>/dev/null && [ -s "$folder/more" ] && echo 'the disk is not full'
echo 'disk|disk|0|it is full' | at 1010
echo 'disk|disk|0|it is full' | at 1020
rm "$folder/fill"
at 1090 </dev/null
"""
    assert standing.host.run(script).splitlines() == ["disk|disk|1|1010|it is full", "disk|recovered|1|1010|"]


def processor_seconds(host: Host) -> float:
    """Return what the watcher and all that it has started have used so far."""
    used = "cat $(find /sys/fs/cgroup -path '*kamal-dev-0.service/cpu.stat' | head -n 1)"
    return int(host.run(f"{used} | awk '/^usage_usec/ {{ print $2 }}'")) / 1_000_000


def used_within(host: Host, seconds: float) -> float:
    before = processor_seconds(host)
    time.sleep(seconds)
    return processor_seconds(host) - before


def test_the_watcher_sleeps_while_nothing_happens(standing: StandingStack) -> None:
    wait_for(
        "nothing is open", lambda: not standing.host.says(f"grep -q '|0$' ~/.kamal-dev/{standing.stack}/incidents"), 90
    )
    assert processor_seconds(standing.host) > 0
    # A last check of what happened before costs 0.2 s.
    wait_for("the watcher is at rest", lambda: 0 <= used_within(standing.host, 20) <= 0.02, 90)


def test_a_watcher_that_was_stopped_is_started_by_the_next_deploy(standing: StandingStack) -> None:
    standing.host.run("systemctl stop kamal-dev-0")
    standing.repository.dev("deploy")
    assert standing.host.says("systemctl is-active kamal-dev-0")


def test_the_last_stack_takes_the_watcher_with_it(standing: StandingStack) -> None:
    stack, host = standing.stack, standing.host
    release = f"~/.kamal-dev/{stack}/current"
    assert TOKEN not in standing.repository.dev("config").text
    assert host.run(f"stat -L -c %a {release}/kamal-dev.notify") == "600\n"
    standing.repository.dev("remove", stack, "--yes", "--keep-volumes", timeout=120)
    assert not host.says("ls /etc/systemd/system/kamal-dev-* ~/.kamal-dev/.watcher")
    assert not host.says("systemctl is-active kamal-dev-0")
