"""Nobody who works in a stack is disturbed without need.

A deploy makes a container anew only if something that the container is made of changed: the content of its image,
its own environment, its mounts, its ports, its configuration. What a commit is called is none of these: the same
content is the same image and digest, and a release runs images by digest. Where the source moves forward in a
container that is kept, `updateContentCommand` runs there. What is replaced is named before, with the reason and with
who is inside; nobody waits for a container that does nothing but go on.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.real.lab import DEV, Ended, Host, Lab, Repository, docker, wait_for

pytestmark = pytest.mark.real

COMPOSE = """\
x-common: &common
  init: false
  stop_grace_period: 5m
services:
  app:
    <<: *common
    build: .
    command: sleep infinity
    environment: {GREETING: "${GREETING:-hello}"}
    volumes: ["..:/workspaces/site"]
  db:
    <<: *common
    build: ./db
    depends_on: [app]
    volumes: ["./db.conf:/etc/db.conf:ro"]
  tool:
    image: debian:12
    entrypoint: [sh, -c, "trap 'exit 0' TERM; while :; do sleep 1; done"]
"""
FILES = {
    ".devcontainer/devcontainer.json": json.dumps(
        {
            "dockerComposeFile": "compose.yaml",
            "service": "app",
            "workspaceFolder": "/workspaces/site",
            "updateContentCommand": "cat README.md >>/updated; test ! -f fail",
            "postCreateCommand": "echo created >>/created",
        }
    ),
    ".devcontainer/Dockerfile": "FROM debian:12\nCOPY message /message\n",
    ".devcontainer/db/Dockerfile": 'FROM debian:12\nRUN echo db >/db\nCMD ["tail", "-f", "/dev/null"]\n',
    ".devcontainer/db.conf": "one\n",
    "README.md": "first\n",
}
EVERYTHING = {"app", "db", "tool"}


class Stack:
    """A repository with its stack, and what has stayed there."""

    def __init__(self, repository: Repository, host: Host) -> None:
        self.repository = repository
        self.host = host

    @property
    def containers(self) -> dict[str, tuple[str, str]]:
        """Each service's container, and since when it runs."""
        found = self.host.containers(self.repository.stack())
        return {name: (item["Id"], item["State"]["StartedAt"]) for name, item in found.items()}

    def deploy(self, *words: str, repository: Repository | None = None, code: int = 0) -> tuple[set[str], Ended]:
        """Deploy, and return the services whose containers went on running."""
        before = self.containers
        ended = (repository or self.repository).dev("deploy", *words, code=code)
        after = self.containers
        assert set(after) == EVERYTHING, str(ended)
        kept = {name for name, was in before.items() if after.get(name) == was}
        # What is announced is what happens, and nothing else.
        said = set(re.findall(r"replacing `(\w+)`", ended.stderr))
        assert said == (set(before) - kept), str(ended)
        return kept, ended

    def change(self, files: Mapping[str, str], *words: str) -> tuple[set[str], Ended]:
        """Commit and deploy."""
        self.repository.commit(files)
        return self.deploy(*words)

    def inside(self, script: str) -> str:
        """Run a script in the main container."""
        return self.host.run(f"docker exec {self.containers['app'][0]} sh -c '{script}'")


@pytest.fixture(scope="module")
def host(lab: Lab) -> Host:
    maker = lab.small("calm-host", [])
    maker.commit({"config/dev.yml": lab.made_hosts(maker)})
    maker.dev("deploy", "--yes", timeout=420)
    return lab.hosts(maker)[0]


@pytest.fixture(scope="module")
def stack(lab: Lab, host: Host) -> Iterator[Stack]:
    repository = lab.small("calm", [host], FILES, compose=COMPOSE)
    repository.dev("deploy")
    yield Stack(repository, host)
    repository.dev("remove", repository.stack(), "--yes")


def test_a_commit_that_touches_nothing_of_an_image_keeps_every_container(stack: Stack) -> None:
    assert stack.inside("cat /updated") == "first\n"
    stack.repository.commit({"README.md": "second\n"})
    kept, ended = stack.deploy("--json")
    assert kept == EVERYTHING
    # The workspace has moved forward, and what follows the source ran; what a new container gets did not run again.
    assert stack.inside("cat /workspaces/site/README.md") == "second\n"
    assert stack.inside("cat /updated") == "first\nsecond\n"
    assert stack.inside("cat /created") == "created\n"
    # No time passes in watching containers that were up before.
    assert ended.stacks[stack.repository.stack()]["window"] == 0
    assert _current(stack) == stack.repository.sha


def test_the_same_content_is_the_same_image_whatever_the_commit_is_called(stack: Stack) -> None:
    before = _image(stack.repository)
    stack.change({"README.md": "third\n"})
    assert _image(stack.repository) == before
    labels = json.loads(docker("image", "inspect", "--format", "{{json .Config.Labels}}", stack.repository.image()))
    assert stack.repository.sha not in str(labels) and "kamal-dev.build" not in labels
    # The commit's tag is in the registry and means it, and the release runs it by digest.
    digest = before[1]
    app = stack.host.containers(stack.repository.stack())["app"]
    assert app["Config"]["Image"] == f"{stack.repository.image().rpartition(':')[0]}@{digest}"
    docker("pull", "--quiet", stack.repository.image())
    assert _image(stack.repository) == before


def test_a_tree_with_changes_and_another_clone_of_the_same_content_keep_every_container(stack: Stack) -> None:
    stack.repository.write({"README.md": "not committed\n"})
    assert stack.deploy()[0] == EVERYTHING
    stack.repository.commit()
    assert stack.deploy()[0] == EVERYTHING
    root = stack.repository.root
    other = root.parent / "elsewhere" / root.name
    subprocess.run(("git", "clone", "--quiet", str(root), str(other)), check=True)
    private = other / ".kamal/local"
    private.mkdir(parents=True)
    shutil.copy(root / ".kamal/local/known_hosts", private)
    clone = Repository(other, stack.repository.service, stack.repository.temporary)
    assert stack.deploy(repository=clone)[0] == EVERYTHING


def test_a_commit_that_changes_one_image_replaces_one_container(stack: Stack) -> None:
    stack.inside("touch /mine")
    kept, ended = stack.change({".devcontainer/db/Dockerfile": FILES[".devcontainer/db/Dockerfile"] + "ENV A=1\n"})
    assert kept == {"app", "tool"}
    assert "replacing `db`: image changed" in ended.stderr
    # What depends on a service is not made of it.
    kept, ended = stack.change({".devcontainer/message": "new\n"})
    assert kept == {"db", "tool"}
    assert "replacing `app`: image changed" in ended.stderr
    assert stack.inside("cat /created") == "created\n"


def test_what_else_a_container_is_made_of_replaces_it_alone(stack: Stack) -> None:
    kept, ended = stack.change({".devcontainer/db.conf": "two\n"})
    assert kept == {"app", "tool"}
    assert "replacing `db`: a mounted file changed" in ended.stderr
    text = COMPOSE.replace("    image: debian:12\n", '    image: debian:12\n    environment: {TOKEN: "a-value"}\n')
    kept, ended = stack.change({".devcontainer/compose.yaml": text})
    assert kept == {"app", "db"}
    assert "replacing `tool`: environment changed (TOKEN)" in ended.stderr
    assert "a-value" not in ended.text
    kept, ended = stack.change(
        {".devcontainer/compose.yaml": text.replace("command: sleep", "ports: ['8123:80']\n    command: sleep")}
    )
    assert kept == {"db", "tool"}
    assert "replacing `app`: ports changed" in ended.stderr
    kept, ended = stack.change({".devcontainer/compose.yaml": COMPOSE})
    assert kept == {"db"}
    kept, ended = stack.change({".devcontainer/compose.yaml": "# a comment\n" + COMPOSE})
    assert kept == EVERYTHING


def test_a_version_and_a_host_are_in_an_environment_only_where_a_file_mentions_them(stack: Stack) -> None:
    names = ("DEV_VERSION", "DEV_STACK", "NODE_NAME", "NODE_INDEX", "NODE_ADDRESS")
    assert not [line for line in stack.inside("env").splitlines() if line.startswith(names)]
    mentions = COMPOSE.replace("GREETING: ", "DEV_VERSION: $DEV_VERSION, GREETING: ")
    kept, ended = stack.change({".devcontainer/compose.yaml": mentions})
    assert kept == {"db", "tool"}
    assert "environment changed (DEV_VERSION)" in ended.stderr
    assert f"DEV_VERSION={stack.repository.sha}" in stack.inside("env")
    assert stack.change({".devcontainer/compose.yaml": COMPOSE})[0] == {"db", "tool"}


def test_images_that_travel_over_ssh_keep_their_containers_too(stack: Stack) -> None:
    # They were pulled before: the same content is not sent again, and not called by another name.
    assert stack.deploy("--skip-push")[0] == EVERYTHING
    assert stack.change({"README.md": "over ssh\n"}, "--skip-push")[0] == EVERYTHING
    assert stack.change({".devcontainer/message": "sent\n"}, "--skip-push")[0] == {"db", "tool"}
    assert stack.change({"README.md": "over ssh again\n"}, "--skip-push")[0] == EVERYTHING
    assert stack.change({".devcontainer/message": "new\n"})[0] == {"db", "tool"}


def test_a_rollback_to_a_release_of_the_same_images_keeps_every_container(stack: Stack) -> None:
    before = stack.repository.sha
    assert stack.change({"README.md": "to be rolled back\n"})[0] == EVERYTHING
    there = stack.containers
    stack.repository.dev("rollback", "--yes")
    assert stack.containers == there
    assert _current(stack) == before


def test_images_stay_for_as_long_as_a_release_runs_them_by_digest(stack: Stack) -> None:
    for number in range(7):
        assert stack.change({"README.md": f"commit {number}\n"})[0] == EVERYTHING
    stack.repository.dev("prune", "--yes")
    listed = _releases(stack)
    assert len(listed) == 5
    assert not [row for row in listed if row["missing"]]
    assert stack.deploy("--recreate")[0] == set()


def test_a_command_that_follows_the_source_and_fails_is_reported_and_run_again(stack: Stack) -> None:
    there = stack.containers
    stack.repository.commit({"fail": "", "README.md": "failing\n"})
    ended = stack.repository.dev("deploy", code=1)
    assert "updateContentCommand" in ended.text
    assert stack.containers == there
    assert stack.repository.dev("deploy", code=1).text.count("failing") == 0
    (stack.repository.root / "fail").unlink()
    stack.repository.commit({"README.md": "mended\n"})
    assert stack.deploy()[0] == EVERYTHING
    assert stack.inside("tail -n 1 /updated") == "mended\n"


def test_who_is_inside_is_told_before_the_container_goes(stack: Stack) -> None:
    words = (DEV, "ssh", stack.repository.stack(), "--", "sleep", "333")
    session = subprocess.Popen(
        words,
        cwd=stack.repository.root,
        env=stack.repository.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    app = stack.containers["app"][0]
    server = "exec -a /root/.vscode-server/bin/node sleep 333"
    stack.host.run(f"docker exec --detach {app} bash -c '{server}'")
    wait_for("the session", lambda: stack.host.run(f"docker top {app}").count("sleep 333") >= 1)
    kept, ended = stack.change({".devcontainer/message": "people inside\n"})
    session.wait(30)
    assert kept == {"db", "tool"}
    told = next(line for line in ended.stderr.splitlines() if "this stops what people run in `app`" in line)
    assert "sleep 333" in told
    assert "vscode-server" in told
    assert "sleep infinity" not in told


def test_recreate_makes_every_container_anew(stack: Stack) -> None:
    kept, ended = stack.deploy("--recreate")
    assert kept == set()
    assert ended.stderr.count(": `--recreate`") == len(EVERYTHING)
    assert stack.inside("cat /created") == "created\n"


def test_nobody_waits_for_what_does_nothing_but_go_on(stack: Stack) -> None:
    """`stop_grace_period` says five minutes; the first process of `tool` hears its stop, and gets to answer it."""
    began = time.monotonic()
    stack.deploy("--recreate")
    assert time.monotonic() - began < 200
    stopped = _stops(stack)
    assert stopped["app"] < 30 and stopped["db"] < 30, stopped
    ended = stack.host.run(f"docker events --since 5m --until 0s --filter event=kill --format '{EVENT}'")
    assert f"{stack.repository.stack()}-tool-1 9" not in ended


EVENT = "{{.Actor.Attributes.name}} {{.Actor.Attributes.signal}}"


def _stops(stack: Stack) -> dict[str, float]:
    """Return how many seconds passed from the last stop of each service to its end."""
    shown = '{{.TimeNano}} {{.Action}} {{index .Actor.Attributes "com.docker.compose.service"}}'
    project = f"--filter label=com.docker.compose.project={stack.repository.stack()}"
    lines = stack.host.run(
        f"docker events --since 5m --until 0s {project} --filter event=kill --filter event=die --format '{shown}'"
    )
    asked: dict[str, int] = {}
    found: dict[str, float] = {}
    for line in lines.splitlines():
        moment, action, service = line.split()
        if action == "kill":
            asked.setdefault(service, int(moment))
        elif service in asked:
            found[service] = (int(moment) - asked.pop(service)) / 1e9
    return found


def _image(repository: Repository) -> tuple[str, str]:
    """Return the id and the digest of the main image of this version."""
    said = json.loads(docker("image", "inspect", repository.image()))[0]
    name = repository.image().rpartition(":")[0]
    return said["Id"], next(text for text in said["RepoDigests"] if text.startswith(f"{name}@")).partition("@")[2]


def _releases(stack: Stack) -> list[dict[str, Any]]:
    """Return the releases that `dev versions` tells of."""
    listed = stack.repository.dev("versions", "--json").json
    found: list[dict[str, Any]] = next(item["releases"] for item in listed)
    return found


def _current(stack: Stack) -> str:
    """Return the version that is the current one."""
    return str(next(row for row in _releases(stack) if row["is_current"])["version"])
