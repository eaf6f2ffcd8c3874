"""A new stack starts with copies of another's volumes, on the same host and on another, and never with half of them."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.real.lab import Ended, Host, Lab, Repository, wait_for
from tests.real.test_interrupts import started
from tests.workspace.lab import git

COMPOSE = """\
services:
  app:
    build: .
    volumes: ["..:/srv/work", "cache:/cache"]
    command: [sleep, infinity]
    stop_signal: SIGKILL
  writer:
    image: debian:12
    volumes: ["rows:/rows"]
    command:
    - sh
    - -c
    - n=$$(tail -n 1 /rows/log); while n=$$((n + 1)); do echo $$n >>/rows/log; sleep 0.05; done
    stop_signal: SIGKILL
volumes:
  rows:
  cache:
    name: fixed
"""
DEVCONTAINER = {
    "dockerComposeFile": "compose.yaml",
    "service": "app",
    "workspaceFolder": "/srv/work",
    "postCreateCommand": "echo created >>/cache/created",
}
SHARED = "placement: {per_host: 100}\n"


@dataclass(frozen=True)
class Forking:
    """One stack with data and work on the first host, and the names of its copies."""

    repository: Repository
    hosts: tuple[Host, ...]

    @property
    def source(self) -> str:
        return self.repository.stack(1)

    def named(self, name: str) -> str:
        return f"{self.repository.service}-{name}"

    def address(self, host: Host) -> str:
        return f"127.0.0.1:{host.port}"

    def fork(self, name: str, host: Host, *words: str, code: int = 0) -> Ended:
        on = ("--on", self.address(host))
        return self.repository.dev(
            "deploy", name, "--from", self.source, *on, "--skip-push", "--yes", *words, code=code
        )

    def sh(self, stack: str, script: str, service: str = "app") -> str:
        return self.repository.dev("exec", stack, service, "--", "sh", "-c", script).stdout.strip()

    def rows(self, stack: str) -> list[int]:
        return [int(line) for line in self.sh(stack, "cat /rows/log", "writer").split()]

    def remains(self, host: Host, stack: str) -> list[str]:
        """What is on a host of a stack that should not be there, except its audit log."""
        kinds = (f"docker {kind} --quiet --filter label=com.docker.compose.project={stack};" for kind in KINDS)
        return host.run(f"ls -A ~/.kamal-dev/{stack} 2>/dev/null | grep -vx audit.log; {' '.join(kinds)} true").split()

    def require_copy(self, name: str) -> None:
        """Both have whole data and write on, each for itself."""
        copy = self.named(name)
        before, after = self.rows(copy), self.rows(self.source)
        for rows in (before, after):
            assert rows == [*range(1, len(rows) + 1)]
        self.sh(copy, "echo here >/rows/only", "writer")
        assert self.sh(self.source, "ls /rows", "writer") == "log"
        assert self.repository.dev("status", self.source, copy).code == 0


KINDS = ("volume ls", "network ls", "ps --all")


@pytest.fixture(scope="module")
def forking(lab: Lab, hosts: tuple[Host, ...]) -> Iterator[Forking]:
    files = {".devcontainer/devcontainer.json": json.dumps(DEVCONTAINER), "README": "one\ntwo\nthree\n"}
    repository = lab.small("fork", hosts[:2], files, compose=COMPOSE, settings=SHARED)
    path = repository.root / "config/dev.yml"
    path.write_text(path.read_text().replace("vms: {count: 2}\n", "vms: {count: 1}\n"))
    repository.commit()
    git(repository.root, "branch", "feature/x")
    made = Forking(repository, hosts[:2])
    repository.dev("deploy", made.source, "--on", made.address(hosts[0]), "--skip-push", "--yes")
    made.sh(
        made.source,
        "echo mine >mine; sed -i s/two/2/ README; echo kept >/cache/file; chmod 751 /cache; chown 7:8 /cache",
    )
    yield made
    repository.dev("remove", "--yes")


def test_a_stack_of_another_branch_starts_with_volumes_and_work_of_a_stack_on_the_same_host(forking: Forking) -> None:
    host, _ = forking.hosts
    words = ("--ref", "feature/x", "--with-work")
    plan = forking.repository.dev("plan", "x", "--from", forking.source, *words[:2]).stdout
    assert f"copy volumes cache, rows of {forking.source} (" in plan
    assert f"(stops `app`, `writer` of {forking.source} meanwhile)" in plan
    before = host.started(forking.source)
    ended = forking.fork("x", host, *words)
    assert host.started(forking.source) != before, "its services were stopped for the copy"
    copy = forking.named("x")
    forking.require_copy("x")
    assert (
        forking.sh(copy, "cat /cache/file mine README; stat -c '%a %u:%g' /cache")
        == "kept\nmine\none\n2\nthree\n751 7:8"
    )
    assert forking.sh(copy, "cat /cache/created") == "created\ncreated", "postCreateCommand has run in both"
    assert f"Copied volumes cache, rows of {forking.source}" in ended.stderr
    again = forking.fork("x", host, *words[:2], code=2)
    assert f"{copy} exists, and a copy would replace its data" in again.stderr
    assert forking.repository.deploy("x", "--skip-push", "--yes").stacks[copy]["state"] == "unchanged"


def test_a_copy_on_another_host_is_whole(forking: Forking) -> None:
    forking.fork("there", forking.hosts[1], "--here")
    forking.require_copy("there")
    assert forking.sh(forking.named("there"), "cat /cache/file; stat -c '%a %u:%g' /cache") == "kept\n751 7:8"


CI = ("$ backup", 0)
SLOW = [
    ("$ move {} expect", 0),
    ("$ workspace", 0),
    ("$ apply", 0),
    ("$ move {} keep", 0),
    ("$ backup", 1),
    ("$ stage", 1),
]


@pytest.mark.parametrize(("step", "to"), [CI, *(pytest.param(*item, marks=pytest.mark.slow) for item in SLOW)])
def test_a_copy_that_is_killed_is_never_started_and_is_made_again(forking: Forking, step: str, to: int) -> None:
    host, stack, dev = forking.hosts[to], forking.named("killed"), forking.repository.dev
    step, words = step.format(stack), ("--on", forking.address(host), "--skip-push", "--yes")
    copied = ("deploy", "killed", "--here", "--from", forking.source, *words)
    with started(forking.repository, *copied, "--verbose") as (process, reader):
        wait_for(step, lambda: step in reader.text or process.poll() is not None, 120)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    assert step in reader.text, reader.text
    for each in forking.hosts:
        scripts = f"pgrep -f '[.]sh ({stack}|{forking.source}) ' || true"
        wait_for("the scripts", lambda each=each, scripts=scripts: not each.run(scripts), 120)
    assert "running" not in host.states(stack).values()
    is_complete = host.says(f"test -d ~/.kamal-dev/{stack}/releases")
    if host.says(f"test -f ~/.kamal-dev/{stack}/arriving"):
        is_complete = False
        assert "the copy is not complete" in dev("deploy", "killed", "--here", *words, code=1).stderr
        assert "running" not in host.states(stack).values()
    if is_complete:
        dev("deploy", "killed", "--skip-push", "--yes")
    else:
        dev(*copied)
    forking.require_copy("killed")
    dev("remove", "killed", "--yes")
    assert forking.remains(host, stack) == []


def test_work_that_does_not_apply_leaves_nothing_of_the_new_stack(forking: Forking) -> None:
    root, host = forking.repository.root, forking.hosts[0]
    git(root, "switch", "--quiet", "--create", "other")
    forking.repository.commit({"README": "quite\nanother\ntext\n"})
    git(root, "switch", "--quiet", "-")
    before = host.started(forking.source)
    failed = forking.fork("clash", host, "--ref", "other", "--with-work", code=1)
    assert "does not apply" in failed.stderr and "README" in failed.stderr
    assert f"left behind: nothing of {forking.named('clash')}" in failed.stderr
    assert forking.remains(host, forking.named("clash")) == []
    assert host.started(forking.source) == before, "nothing was stopped for it"


def test_what_cannot_be_copied_is_refused_before_anything_is_built(forking: Forking) -> None:
    dev, source = forking.repository.dev, forking.source
    assert "there is no stack `nowhere`" in dev("deploy", "y", "--here", "--from", "nowhere", code=2).stderr
    assert "`--with-work` needs a stack" in dev("deploy", "y", "--here", "--with-work", code=2).stderr
    several = dev("deploy", "--ref", "HEAD~0", "--ref", "feature/x", "--from", source, code=2).stderr
    assert "`--from` needs the name of one new stack" in several
    assert "cannot be a copy of itself" in dev("deploy", source, "--from", source, code=2).stderr


@pytest.mark.slow
def test_the_hook_backup_decides_instead_of_a_stop(forking: Forking) -> None:
    host, source, hook = forking.hosts[0], forking.source, forking.repository.root / ".kamal/hooks/backup"
    before = host.started(source)
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(f'#!/bin/sh\necho "of $DEV_STACKS"\n[ -f {hook}.fine ]\n')
    hook.chmod(0o755)
    failed = forking.fork("hooked", host, "--here", code=1)
    assert f"of {source}" in failed.stderr and "hook `backup` exited with code 1" in failed.stderr
    assert forking.remains(host, forking.named("hooked")) == []
    hook.with_name("backup.fine").touch()
    plan = forking.fork("hooked", host, "--here", "--dry-run").stdout
    assert "meanwhile" not in plan
    forking.fork("hooked", host, "--here")
    hook.unlink()
    assert forking.sh(forking.named("hooked"), "cat /cache/file") == "kept"
    assert host.started(source) == before
