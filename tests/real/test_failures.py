"""What goes wrong on real parts is told truthfully, and what ran before runs again."""

from __future__ import annotations

import re

from tests.real.lab import COMPOSE, DOCKERFILE, Host, Lab, has_image, wait_for

CRASH = COMPOSE + "    restart: always\n    command: [sh, -c, 'echo last words >&2; exit 7']\n"


def test_one_dead_host_of_three_does_not_stop_the_others(lab: Lab, hosts: tuple[Host, ...]) -> None:
    dead = f"root@127.0.0.1:{lab.free_port()}"
    repository = lab.small("dead", [hosts[0], dead, hosts[2]])
    ended = repository.deploy(code=1)
    states = {name: stack["state"] for name, stack in ended.stacks.items()}
    assert states == {repository.stack(1): "deployed", repository.stack(2): "failed", repository.stack(3): "deployed"}
    assert dead.partition("@")[2] in ended.stacks[repository.stack(2)]["error"]["message"]
    assert re.search(rf"Deployed 2 of 3 stacks.*failed: {repository.stack(2)}$", ended.stderr, re.MULTILINE), str(ended)
    for host, index in ((hosts[0], 1), (hosts[2], 3)):
        assert host.states(repository.stack(index)) == {"app": "running"}
    listed = {stack["stack"]: stack["state"] for stack in repository.dev("list", "--json", code=1).json}
    assert listed[repository.stack(2)] == "unreachable"


def test_a_failing_build_ends_with_its_last_lines_and_changes_nothing(lab: Lab, host: Host) -> None:
    dockerfile = f"{DOCKERFILE}RUN echo the reason is this >&2 && exit 3\n"
    repository = lab.small("badbuild", [host], {".devcontainer/Dockerfile": dockerfile})
    ended = repository.dev("deploy", code=1)
    error = ended.stderr[ended.stderr.index("error: ") :]
    assert "the reason is this" in error
    assert "exit code: 3" in error
    assert "no image was pushed and no container was changed" in error
    assert not has_image(repository.image())
    assert host.states(repository.stack()) == {}


def test_after_a_crash_loop_the_previous_release_runs_again(lab: Lab, host: Host) -> None:
    repository = lab.small("restored", [host])
    good = repository.sha
    repository.dev("deploy")
    repository.commit({".devcontainer/compose.yaml": CRASH, ".devcontainer/message": "bad\n"})
    ended = repository.deploy(code=1)
    stack = ended.stacks[repository.stack()]
    assert (stack["state"], stack["running"][: len(good)]) == ("failed", good), str(ended)
    assert "last words" in ended.text, str(ended)
    assert "exit code 7" in ended.text, str(ended)
    assert host.states(repository.stack()) == {"app": "running"}
    assert host.images(repository.stack())["app"].startswith(repository.image(good))
    listed = repository.dev("list", "--json").json
    assert [(stack["version"], stack["state"]) for stack in listed] == [(good, "up")]


def test_a_port_that_is_taken_is_told_before_the_build_with_who_holds_it(lab: Lab, host: Host) -> None:
    # Held by what waits for it; without that it would be closed at once.
    listen = "IO::Socket::INET->new(LocalAddr => q(127.0.0.1:8000), Listen => 1)->accept"
    host.run(f"systemd-run --quiet --unit taken perl -MIO::Socket::INET -e '{listen}'")
    wait_for("port 8000 is taken", lambda: host.says("ss -Htln 'sport = 8000' | grep -q ."))
    repository = lab.small("port", [host], compose=COMPOSE + "    ports: ['127.0.0.1:8000:8000']\n")
    ended = repository.dev("deploy", code=1)
    host.run("systemctl stop taken")
    assert "port `127.0.0.1:8000/tcp` is held by a process outside containers (`perl`)" in ended.text, str(ended)
    assert "Nothing was deployed" in ended.stderr


def test_a_third_party_image_that_is_nowhere_is_named(lab: Lab, host: Host) -> None:
    reference = "localhost:1/nobody/has-this:1"
    repository = lab.small("nowhere", [host], compose=COMPOSE + f"  other: {{image: '{reference}'}}\n")
    ended = repository.dev("deploy", code=1)
    assert reference in ended.stderr
    assert host.states(repository.stack()) == {}
