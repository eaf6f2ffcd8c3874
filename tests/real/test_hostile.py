"""People in the containers of a stack attack its host through the workspace, while every verb works on it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.real.lab import Host, Lab, Repository

NAME = "hostile"
COMPOSE = """\
services:
  app:
    build: .
    user: "1500:1500"
    volumes: ["..:/workspace"]
  above:
    build: .
    volumes: ["../..:/above"]
"""
# Each service, a folder there, and what to swap in it besides.
INSIDE = (("app", "/workspace", ""), ("above", "/above", NAME), ("above", f"/above/{NAME}", ""))
LOGIN = r"""
id deploy >/dev/null 2>&1 || useradd --create-home --shell /bin/sh deploy
echo 'deploy ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/deploy
mkdir -p /home/deploy/.ssh /etc/victims/folder
cp /root/.ssh/authorized_keys /home/deploy/.ssh/ && chown -R deploy /home/deploy/.ssh
for each in /etc/victims/root /etc/victims/folder/file /root/victim /home/deploy/victim; do
  echo secret >"$each" && chmod 600 "$each"
done
chown deploy /home/deploy/victim
"""
VICTIMS = "/etc/victims /root/victim /home/deploy/victim /home/deploy/.ssh /etc/passwd /etc/shadow /etc/sudoers.d"
STATE = f"find {VICTIMS} -printf '%p %m %U %l\\n' | sort; find {VICTIMS} -type f -exec sha256sum {{}} +"
# Takes a random file or folder away, puts a link or a pipe in its place, and it back, again and again.
ATTACK = r"""
cd "$1" || exit
exec perl -e '
  my @names = qw(.git/index .git/HEAD .git/config .git/shallow .git/refs .git/refs/tags .git/refs/heads .git/logs
    .git/logs/HEAD .git/objects .git/objects/pack .git/info .git a.txt .devcontainer);
  push @names, @ARGV;
  my @targets = qw(/etc/victims/root /etc/victims/folder /root/victim /home/deploy/victim /home/deploy/.ssh);
  while (1) {
    my $name = $names[rand @names];
    rename $name, "$name.kept" or next;
    my $what = rand 4;
    if ($what < 1) { system "mkfifo", $name } else { symlink $targets[rand @targets], $name }
    select undef, undef, undef, rand 0.2;
    unlink $name;
    rename "$name.kept", $name;
  }' $2
"""


@pytest.fixture
def attacked(lab: Lab, host: Host) -> Iterator[Repository]:
    """A stack of a user with sudo, with people in it who mean harm."""
    host.run(LOGIN)
    repository = lab.small(
        NAME,
        [host],
        {"a.txt": "one\n"},
        compose=COMPOSE,
        settings="workspace: {source: git}\n",
    )
    settings = (repository.root / "config/dev.yml").read_text().replace("root@", "deploy@")
    repository.commit({"config/dev.yml": settings})
    repository.deploy()
    yield repository
    repository.attempt("remove", repository.stack(), "--yes")
    host.run("rm -rf /etc/victims /root/victim; userdel --remove --force deploy; rm -f /etc/sudoers.d/deploy")


def attack(host: Host, stack: str) -> None:
    """Let the unprivileged user, and root where the parent folder is seen, begin.

    A container that got a link instead of a folder of the workspace was stopped, and has nobody inside.
    """
    running = {service: item["Id"] for service, item in host.containers(stack).items() if item["State"]["Running"]}
    for service, folder, more in INSIDE:
        if service in running:
            script = f"docker exec --detach {running[service]} sh -c \"$(cat)\" sh {folder} '{more}'"
            host.run(script, text=ATTACK)


def rounds(host: Host, repository: Repository, count: int) -> None:
    before, stack = host.run(STATE), repository.stack()
    for number in range(count):
        attack(host, stack)
        repository.commit({"a.txt": f"{number}\n", ".devcontainer/message": f"{number}\n"})
        subprocess.run(["git", "tag", f"v{number}"], cwd=repository.root, check=True)
        verbs = ("deploy --yes", "sync", "pull", "status", "versions", "rollback --yes", "sync --force --yes", "list")
        for verb in verbs:
            word, *flags = verb.split()
            names = (stack,) if word in ("sync", "pull") else ()
            started = time.monotonic()
            ended = repository.attempt(word, *names, *flags, timeout=180)
            assert "defect of kamal-dev" not in ended.text and "Traceback" not in ended.text, str(ended)
            assert time.monotonic() - started < 150, str(ended)
            assert host.run(STATE) == before, str(ended)
            assert host.says(f"test ! -e /home/deploy/.kamal-dev/{stack}/lock"), str(ended)
    attack(host, stack)
    repository.dev("remove", stack, "--yes")
    assert host.run(STATE) == before
    assert not host.says(f"test -e /home/deploy/.kamal-dev/{stack}/workspace")


def test_people_in_the_containers_change_nothing_outside_the_workspace(host: Host, attacked: Repository) -> None:
    rounds(host, attacked, 1)


@pytest.mark.slow
def test_people_in_the_containers_change_nothing_outside_the_workspace_for_long(
    host: Host, attacked: Repository
) -> None:
    rounds(host, attacked, 10)
