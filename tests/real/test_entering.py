"""A branch with another main service and one more: its stack is entered from a clone at main, as its release says."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.real.lab import DEV, DOCKERFILE, LISTENING, Ended, Host, Lab, Repository
from tests.workspace.lab import git

LISTENS = """perl -MIO::Socket::INET -e '$$s = IO::Socket::INET->new(Listen => 5, LocalPort => 8123, ReuseAddr => 1);
        while ($$c = $$s->accept) { print $$c "of the branch"; close $$c }'"""
COMPOSE = f"""\
services:
  web:
    build: .
    user: root
    command: ["sh", "-c", "echo hello from web; exec sleep infinity"]
    volumes: ["..:/code"]
  queue:
    image: debian:12
    stop_signal: SIGKILL
    command:
      - sh
      - -c
      - |
        echo hello from queue
        {LISTENS}
"""
DEVCONTAINER = {
    "dockerComposeFile": "compose.yaml",
    "service": "web",
    "workspaceFolder": "/code",
    "remoteUser": "nobody",
    "remoteEnv": {"PLACE": "branch", "MINE": "${localEnv:HELLO:unset}"},
    "forwardPorts": ["queue:8123"],
}
MAIN = '{"dockerComposeFile": "compose.yaml", "service": "app", "remoteEnv": {"PLACE": "main"}, "forwardPorts": [9]}\n'


def steps(ended: Ended) -> list[str]:
    """Return the scripts that ran on hosts."""
    return re.findall(r"\$ ((?:survey|place|manifest|facts|logs)\b.*)", ended.stderr)


@pytest.fixture(scope="module")
def blog(lab: Lab, hosts: tuple[Host, ...], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """Deploy the branch; main is checked out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        files = {".devcontainer/devcontainer.json": MAIN}
        blog = lab.small("entered", hosts[:1], files, settings="placement: {per_host: 100}\n")
        git(blog.root, "switch", "--quiet", "--create", "feature/x")
        files = {"compose.yaml": COMPOSE, "devcontainer.json": json.dumps(DEVCONTAINER), "Dockerfile": DOCKERFILE}
        blog.commit({f".devcontainer/{name}": text for name, text in files.items()})
        git(blog.root, "switch", "--quiet", "-")
        blog.dev("deploy", "x", "--ref", "feature/x", "--yes")
        yield blog
        blog.dev("remove", "x", "--yes")


def test_a_stack_is_entered_as_its_release_says(blog: Repository) -> None:
    stack = f"{blog.service}-x"
    # Where it runs, as whom, with which environment: nothing of the devcontainer here.
    assert blog.dev("exec", "x", "--", "sh", "-c", "pwd; id -un; echo $PLACE $MINE").stdout.split("\n")[:3] == [
        "/code",
        "nobody",
        "branch",
    ]
    entered = blog.dev("exec", "x", "queue", "--verbose", "--", "cat", "/etc/hostname")
    # What the release says comes with the stacks of the host: nothing else is asked than the container.
    assert [step.split()[0] for step in steps(entered)] == ["survey", "place"], entered
    assert "hello from queue" in blog.dev("logs", "x", "queue").stdout
    services = {item["service"]: item for item in blog.dev("services", "x", "--json").json}
    assert {name: (item["main"], item["state"]) for name, item in services.items()} == {
        "web": (True, "up"),
        "queue": (False, "up"),
    }
    blog.dev("restart", "x", "queue", "--yes")
    blog.dev("wait", "x", "queue")
    blog.dev("cp", str(blog.root / ".devcontainer/message"), "x:queue:/tmp/")
    assert blog.dev("ssh", "x", "--service", "queue", "--", "cat", "/tmp/message").stdout.strip()
    assert blog.dev("open", "x", "--json").json["folder"] == "/code"
    refused = blog.dev("exec", "x", "app", "--", "true", code=2)
    assert f"{stack} has no service `app`" in refused.text, refused
    assert "known: web, queue" in refused.text, refused


def test_the_ports_of_its_release_are_forwarded(blog: Repository) -> None:
    words = (sys.executable, "-c", LISTENING, DEV, "forward", "x", "--json")
    with subprocess.Popen(words, cwd=blog.root, env=blog.variables(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            (port,) = json.loads("".join(iter(process.stdout.readline, "]\n")) + "]")
            assert port["host"] == "queue", port
            with socket.create_connection(("127.0.0.1", port["local"]), timeout=30) as connection:
                assert connection.recv(100) == b"of the branch"
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)
