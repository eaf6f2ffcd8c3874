"""Secrets and access on real hosts: who is restarted when one changes, and who may see what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.real.lab import PREFIX, Host, Lab, Repository

COMPOSE = """\
services:
  app:
    build: .
    ports: ["8700:80"]
    command: ["sh", "-c", "echo $$NODE_NAME; exec sleep infinity"]
    environment:
      WHERE: ${DEV_STACK} is ${NODE_INDEX} at ${NODE_ADDRESS}
      NODE_ADDRESS: mine
      DEV_VERSION: ${DEV_VERSION}
    depends_on: [db]
  worker:
    image: debian:12
    command: sleep infinity
    init: true
    secrets: [token]
  door:
    image: debian:12
    command: sleep infinity
    init: true
    secrets: [code]
  db:
    image: debian:12
    command: sleep infinity
    init: true
secrets:
  token: {file: ./token.txt}
  code: {environment: DOOR_CODE}
"""
SETTINGS = "secrets: [APP_PASSWORD]\n"
OP = """\
#!/bin/sh
echo "$*" >>"$CALLS"
[ "$1 $2 $3" = "read --no-newline op://Dev/app/password" ] || exit 1
printf 'from-the-vault-%s' "$(cat "$CALLS.value")"
"""


@dataclass(frozen=True)
class Stacks:
    """One small project on two hosts, whose application password comes from a password manager."""

    repository: Repository
    hosts: tuple[Host, ...]

    @property
    def calls(self) -> str:
        path = self.repository.root.parent / "op.calls"
        return path.read_text() if path.exists() else ""

    def rotate(self, value: str) -> None:
        (self.repository.root.parent / "op.calls.value").write_text(value)

    def started(self) -> dict[str, str]:
        return self.hosts[0].started(self.repository.stack())

    def restarted_by(self, *words: str) -> set[str]:
        """Deploy, and return the services whose container was started by that."""
        before = self.started()
        self.repository.dev("deploy", *words)
        return {service for service, moment in self.started().items() if moment != before[service]}

    def environment(self, index: int = 1, service: str = "app") -> dict[str, str]:
        found = self.hosts[index - 1].containers(self.repository.stack(index))[service]["Config"]["Env"]
        return dict(pair.split("=", 1) for pair in found)

    def release(self) -> str:
        """Return the id of the release that runs."""
        link = self.hosts[0].run(f"readlink ~/.kamal-dev/{self.repository.stack()}/current").strip()
        return link.rpartition("/")[2]


@pytest.fixture(scope="module")
def stacks(lab: Lab, hosts: tuple[Host, ...]) -> Iterator[Stacks]:
    folder = lab.folder / "secrets-bin"
    folder.mkdir()
    (folder / "op").write_text(OP)
    (folder / "op").chmod(0o755)
    calls = lab.folder / "op.calls"
    repository = lab.small(
        "secrets",
        hosts[:2],
        {".devcontainer/token.txt": "1111\n", ".gitignore": ".kamal/\n.devcontainer/token.txt\n"},
        compose=COMPOSE,
        settings=SETTINGS,
        CALLS=str(calls),
    )
    repository.environment["PATH"] = f"{folder}:{repository.variables()['PATH']}"
    (repository.root / ".kamal").mkdir(exist_ok=True)
    (repository.root / ".kamal/secrets").write_text("APP_PASSWORD=op://Dev/app/password\nDOOR_CODE=0000\n")
    found = Stacks(repository, hosts[:2])
    found.rotate("one")
    repository.dev("deploy")
    yield found


def test_each_stack_knows_itself_and_its_password_is_in_a_private_file_alone(stacks: Stacks) -> None:
    repository = stacks.repository
    for index in (1, 2):
        stack, found = repository.stack(index), stacks.environment(index)
        assert found["APP_PASSWORD"] == "from-the-vault-one"
        assert (found["NODE_NAME"], found["NODE_INDEX"]) == (stack, str(index))
        assert (found["DEV_STACK"], found["DEV_VERSION"]) == (stack, repository.sha)
        assert found["NODE_ADDRESS"] == "mine"
        assert found["WHERE"] == f"{stack} is {index} at 127.0.0.1"
        assert "NODE_NAME" not in stacks.environment(index, "db")
        modes = stacks.hosts[index - 1].run(f"cd ~/.kamal-dev/{stack} && stat -L -c %a . releases/* current/.env")
        assert set(modes.split()) == {"700", "600"}
    assert stacks.calls.count("read") == 1
    for words in (("list",), ("status",), ("config",), ("render",), ("build",)):
        repository.dev(*words)
    assert stacks.calls.count("read") == 1, "nothing is asked for that a command does not use"


def test_a_rotated_secret_restarts_only_the_services_that_use_it(stacks: Stacks) -> None:
    repository, before = stacks.repository, stacks.release()
    stacks.rotate("two")
    assert stacks.restarted_by() == {"app"}
    assert stacks.environment()["APP_PASSWORD"] == "from-the-vault-two"
    after = stacks.release()
    assert before != after
    assert before.rpartition("-")[0] == after.rpartition("-")[0] == repository.sha
    repository.write({".devcontainer/token.txt": "2222\n"})
    assert stacks.restarted_by() == {"worker"}
    (repository.root / ".kamal/secrets").write_text("APP_PASSWORD=op://Dev/app/password\nDOOR_CODE=3333\n")
    assert stacks.restarted_by() == {"door"}
    told = stacks.hosts[0].run(
        f"cd ~/.kamal-dev/{repository.stack()}/current"
        " && docker compose exec -T worker cat /run/secrets/token && docker compose exec -T door cat /run/secrets/code"
    )
    assert told == "2222\n3333"
    assert stacks.restarted_by() == set()


def test_a_new_commit_restarts_the_main_service_alone_that_mentions_the_version(stacks: Stacks) -> None:
    sha = stacks.repository.commit({"README.md": "another\n"})
    assert stacks.restarted_by() == {"app"}
    assert stacks.environment()["DEV_VERSION"] == sha


def test_stacks_of_one_host_share_no_network_and_no_volume(stacks: Stacks) -> None:
    host, stack = stacks.hosts[0], stacks.repository.stack()
    networks = {name for item in host.containers(stack).values() for name in item["NetworkSettings"]["Networks"]}
    assert networks == {f"{stack}_default"}
    assert stack.startswith(PREFIX)


def test_a_published_port_is_the_hosts_own_until_it_is_exposed(stacks: Stacks) -> None:
    repository, host = stacks.repository, stacks.hosts[0]

    def bound() -> set[str]:
        ports = host.containers(repository.stack())["app"]["NetworkSettings"]["Ports"]["80/tcp"]
        return {port["HostIp"] for port in ports}

    assert bound() == {"127.0.0.1"}
    settings = (repository.root / "config/dev.yml").read_text()
    repository.write({"config/dev.yml": settings + "expose: true\n"})
    assert stacks.restarted_by() == {"app"}
    assert "0.0.0.0" in bound()
