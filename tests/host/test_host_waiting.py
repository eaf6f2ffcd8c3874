"""How long a release is watched on a real host: a service that shows that it is up is not waited for."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.commands import host
from kamal_dev.devcontainer import Devcontainer, lifecycle
from kamal_dev.model import File, StartedService
from tests.host.lab import Answer, Lab, release, service, token

pytestmark = pytest.mark.real

MAIN = '{kamal-dev.main: "true"}'
# A program that may fail at any moment: nobody can say by its looks that it will not.
BUSY = '["/bin/sh", "-c", "while :; do /bin/busybox true; /bin/busybox sleep 0.2; done"]'
SERVER = '["/bin/busybox", "httpd", "-f", "-p", "8000"]'
SLOW_SERVER = '["/bin/sh", "-c", "/bin/busybox sleep 2; exec /bin/busybox httpd -f -p 8000"]'
CRASHING = (
    '["/bin/sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10; do /bin/busybox sleep 0.2; done; echo last words; exit 3"]'
)
LOOPING = '["/bin/sh", "-c", "/bin/busybox sleep 0.3; exit 3"]'


class Stack:
    """Deploys a stack with a window that no test has the time to wait for, unless it says so."""

    def __init__(self, lab: Lab, scripts: Mapping[str, str], name: str) -> None:
        self.lab, self.scripts, self.name = lab, scripts, name

    def deploy(self, *, ports: str = "", window: float = 40, commands: Any = (), **services: str) -> Answer:
        """Apply a release of these services; `ports` are those that the main one is said to listen on."""
        started = tuple(StartedService(name, ports=tuple(ports.split()) if name == "app" else ()) for name in services)
        version = File("version", repr((services, ports, commands)).encode())
        wanted = release(self.name, "v", started=started, files=(version,), **services)
        files = lifecycle.files(developed(dict(commands)), 60) if commands else ()
        step = host.apply(self.scripts, token(), wanted, timeout=90, window=window, lifecycle=files)
        return self.lab.run(step)

    def sh(self, service: str, script: str) -> str:
        """Run a line of shell in a container."""
        return self.lab.sh(f"docker exec {self.name}-{service}-1 /bin/sh -c '{script}'")


def developed(commands: dict[str, str]) -> Devcontainer:
    """Return a devcontainer with these lifecycle commands."""
    path = Path("/site/.devcontainer/devcontainer.json")
    properties = {"user_env_probe": "none", "workspace_folder": "/", "lifecycle": tuple(commands.items())}
    return Devcontainer(path, path.parents[1], path.parents[1], "d", {}, "compose", {}, **properties)  # type: ignore[arg-type]


@pytest.fixture
def blog(lab: Lab, scripts: Mapping[str, str], stack: str) -> Stack:
    return Stack(lab, scripts, stack)


def test_what_only_keeps_itself_alive_is_up_as_soon_as_it_runs(blog: Stack) -> None:
    loop = "trap 'exit 0' TERM INT; while :; do /bin/busybox sleep 1 & wait $$!; done".replace("/bin/busybox ", "")
    link = f'["/bin/busybox", "sh", "-c", "/bin/busybox ln -s busybox /bin/sleep; {loop}"]'
    answer = blog.deploy(
        app=service(labels=MAIN), loop=service(link), bare=service().replace("init: true", "init: false")
    )
    assert answer.outcome.state == "new", answer
    assert (answer.outcome.observed_ms, answer.seconds < 30) == (0, True)


@pytest.mark.parametrize(
    ("ports", "keys"),
    [("8000/tcp", {}), ("", {"expose": '["8000"]'}), ("", {"ports": '["127.0.0.1::8000"]'})],
    ids=["named by the release", "exposed", "published"],
)
def test_a_service_is_up_once_it_listens(blog: Stack, ports: str, keys: dict[str, str]) -> None:
    answer = blog.deploy(ports=ports, app=service(SLOW_SERVER, **keys))
    assert answer.outcome.state == "new", answer
    assert 2 < answer.seconds < 30
    blog.sh("app", "/bin/busybox nc -w 2 127.0.0.1 8000 </dev/null")


def test_ports_that_nothing_listens_on_leave_it_to_the_window(blog: Stack) -> None:
    answer = blog.deploy(ports="8000/tcp 9000/tcp 53/udp", app=service(SERVER), window=3)
    assert answer.outcome.state == "new", answer
    assert answer.seconds > 3


def test_a_sleep_before_a_server_is_not_taken_for_one_that_keeps_a_container_alive(blog: Stack) -> None:
    server = SLOW_SERVER.replace("sleep 2", "sleep 8")
    answer = blog.deploy(ports="8000/tcp", app=service(server), window=3)
    assert answer.outcome.state == "new", answer
    assert answer.seconds > 3


def test_a_port_of_the_host_is_no_sign_of_a_service_in_its_network(blog: Stack) -> None:
    blog.lab.sh("ss -ltn | grep -q ':22 '")
    server = SERVER.replace("8000", "8099")
    answer = blog.deploy(ports="22/tcp", app=service(server, network_mode="host"), window=3)
    assert answer.outcome.state == "new", answer
    assert answer.outcome.observed_ms > 1000


def test_a_service_in_the_network_of_another_is_seen_there(blog: Stack) -> None:
    app = service(SLOW_SERVER, network_mode="'service:db'")
    answer = blog.deploy(ports="8000/tcp", app=app, db=service())
    assert answer.outcome.state == "new", answer
    assert 2 < answer.seconds < 30


def test_one_that_crashes_again_and_again_has_failed_whatever_it_is_said_to_listen_on(blog: Stack) -> None:
    answer = blog.deploy(ports="8000/tcp", app=service(LOOPING, restart="always"))
    (failed,) = answer.outcome.failed
    assert failed.reason.startswith("crash loop: restarted"), answer
    assert answer.seconds < 30


def test_one_that_crashes_before_it_listens_has_failed(blog: Stack) -> None:
    (failed,) = blog.deploy(ports="8000/tcp", app=service(CRASHING)).outcome.failed
    assert (failed.exit_code, failed.log, failed.reason) == (3, "last words", "exited with code 3")


def test_a_service_that_nothing_changed_of_is_not_watched_again(blog: Stack) -> None:
    old = service(BUSY)
    first = blog.deploy(app=service(labels=MAIN), old=old, window=2)
    assert (first.outcome.state, first.outcome.observed_ms > 1000) == ("new", True), first
    again = blog.deploy(app=service(labels=MAIN, environment="{NEW: 1}"), old=old)
    assert (again.outcome.state, again.outcome.observed_ms, again.seconds < 30) == ("new", 0, True), again
    # One that was never seen to stay is, also where the deploy before was broken off.
    blog.lab.sh(f"rm ~/.kamal-dev/{blog.name}/baseline")
    third = blog.deploy(
        app=service(labels=MAIN, environment="{NEW: 2}"), old=service(BUSY, environment="{A: 1}"), window=3
    )
    assert (third.outcome.state, third.outcome.observed_ms > 1000) == ("new", True), third


def test_lifecycle_commands_run_while_a_service_is_still_watched(blog: Stack) -> None:
    commands = {"postCreateCommand": "echo begun; /bin/busybox sleep 2"}
    answer = blog.deploy(app=service(labels=MAIN), other=service(BUSY), window=6, commands=commands)
    assert answer.outcome.state == "new", answer
    assert [phase.name for phase in answer.outcome.phases][-2:] == ["postCreateCommand", "observe"]
    assert answer.seconds > 6
    facts = blog.lab.run(host.facts(blog.scripts, blog.name)).facts
    assert (facts.intact, facts.release and facts.release.good) == (True, True)


def test_a_lifecycle_command_that_fails_meanwhile_is_told_with_its_stage(blog: Stack) -> None:
    commands = {"postCreateCommand": "echo no luck; exit 4"}
    outcome = blog.deploy(app=service(labels=MAIN), other=service(BUSY), window=3, commands=commands).outcome
    assert (outcome.ok, outcome.state, outcome.phase) == (False, "unfinished", "postCreateCommand")
    assert [(failed.exit_code, failed.log) for failed in outcome.lifecycle] == [(4, "no luck")]
    assert not blog.lab.run(host.facts(blog.scripts, blog.name)).facts.intact


def test_a_service_that_crashes_while_they_run_ends_them_and_the_release(blog: Stack) -> None:
    app = service(labels=MAIN)
    assert blog.deploy(app=app, other=service()).outcome.ok
    commands = {"postCreateCommand": "/bin/busybox sleep 61"}
    answer = blog.deploy(app=app, other=service(CRASHING), commands=commands)
    assert (answer.outcome.state, answer.outcome.reason) == ("restored", "other did not stay up"), answer
    assert answer.seconds < 40
    assert "sleep 61" not in blog.lab.sh(f"docker top {blog.name}-app-1")
    assert blog.lab.run(host.facts(blog.scripts, blog.name)).facts.intact


def test_what_others_depend_on_is_made_anew_without_them_and_what_is_switched_off_goes(blog: Stack) -> None:
    def deploy(version: str, *started: StartedService, **keys: str) -> dict[str, str]:
        services = {"app": service(depends_on="[db]"), "db": service(environment=f"{{V: {version}}}")}
        services["tool"] = service(**keys)
        wanted = release(blog.name, version, started=started, **services)
        parts = "\n".join(f"{name}\tall\t{zlib.crc32(text.encode())}" for name, text in services.items())
        outcome = blog.lab.run(host.apply(blog.scripts, token(), wanted, window=1, parts=parts)).outcome
        assert outcome.ok, outcome
        return {container.service: container.started for container in outcome.containers}

    both = (StartedService("app", ("db",)), StartedService("db"))
    before = deploy("v1", *both, StartedService("tool"))
    after = deploy("v2", *both, profiles="[tools]")
    assert (sorted(before), sorted(after)) == (["app", "db", "tool"], ["app", "db"])
    assert (after["app"] == before["app"], after["db"] == before["db"]) == (True, False)
