"""Volumes and workspaces are saved to a file and restored: a database has its rows again, whatever goes wrong."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.real.lab import Ended, Host, Lab, Repository, wait_for
from tests.real.test_interrupts import started

COMPOSE = """\
services:
  app:
    build: .
    volumes: ["..:/srv/work"]
    stop_signal: SIGKILL
  db:
    image: postgres:15
    environment: {POSTGRES_HOST_AUTH_METHOD: trust}
    volumes: ["rows:/var/lib/postgresql/data"]
    healthcheck: {test: [CMD, pg_isready, -U, postgres], interval: 2s, retries: 60}
  cache:
    image: debian:12
    stop_signal: SIGKILL
    command: [sh, -c, "test ! -e /cache/broken && exec sleep infinity"]
    volumes: ["cache:/cache", "bound:/bound"]
  other:
    image: debian:12
    stop_signal: SIGKILL
    command: [sleep, infinity]
volumes:
  rows:
  cache:
  bound:
    driver_opts: {type: none, o: bind, device: /srv/bound}
"""
# An attribute, by the system call: the tools for it are not everywhere.
SET = """perl -e 'my ($n, $v) = ("user.mine", "yes"); syscall(188, $ARGV[0], $n, $v, 3, 0) == 0 or die $!' {}"""
GET = """perl -e 'my ($n, $v) = ("user.mine", "---"); syscall(191, $ARGV[0], $n, $v, 3); print $v' {}"""
# The same for an access list, which lets the user 1234 write.
SET_ACL = (
    r"""perl -e 'my ($n, $v) = ("system.posix_acl_access", pack "H*", "{}");"""
    r""" syscall(188, $ARGV[0], $n, $v, length $v, 0) == 0 or die $!' {}"""
)
GET_ACL = (
    r"""perl -e 'my ($n, $v) = ("system.posix_acl_access", "-" x 44);"""
    r""" syscall(191, $ARGV[0], $n, $v, 44); print unpack "H*", $v' {}"""
)
ACL = "0200000001000600ffffffff02000700d204000004000400ffffffff10000700ffffffff20000400ffffffff"
FILE = "/var/lib/docker/volumes/{}_cache/_data/file"
DEVCONTAINER = {"dockerComposeFile": "compose.yaml", "service": "app", "workspaceFolder": "/srv/work"}


class Saved:
    """Two stacks with a database, and the hosts that they are on."""

    def __init__(self, repository: Repository, hosts: tuple[Host, ...]) -> None:
        self.repository, self.hosts, self.host = repository, hosts, hosts[0]
        self.one, self.two = repository.stack(1), repository.stack(2)
        self.dev = repository.dev

    def sql(self, text: str, stack: str = "") -> str:
        argv = ("exec", stack or self.one, "db", "--", "psql", "-U", "postgres", "-tAqc", text)
        return self.dev(*argv).stdout.strip()

    def sh(self, service: str, script: str, stack: str = "") -> str:
        return self.dev("exec", stack or self.one, service, "--", "sh", "-c", script).stdout.strip()

    def leftovers(self) -> list[str]:
        """What a restore or a backup has left on the host."""
        return self.host.run(
            f"docker volume ls --quiet --filter name=kamal-dev-restore; ls -d ~/.kamal-dev/{self.one}/restore"
            f" ~/.kamal-dev/{self.one}/stopped ~/.kamal-dev/{self.one}/underway ~/.kamal-dev/{self.one}/lock"
            " ~/.kamal-dev/.run/*/stream 2>/dev/null;"
            " docker ps --all --quiet --filter name=kamal-dev-backup; true"
        ).split()


def result(ended: Ended) -> dict[str, Any]:
    """The last line of `--json`."""
    data: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return data


@pytest.fixture(scope="module")
def saved(lab: Lab, hosts: tuple[Host, ...]) -> Saved:
    files = {".devcontainer/devcontainer.json": json.dumps(DEVCONTAINER), "README": "read\n"}
    repository = lab.small("backup", hosts[:2], files, compose=COMPOSE)
    for host in hosts[:2]:
        host.run("mkdir -p /srv/bound")
    repository.deploy("--skip-push", "--yes")
    made = Saved(repository, hosts[:2])
    made.sql("create table t (n int); insert into t select generate_series(1, 1000)")
    return made


@pytest.fixture(scope="module")
def backup(saved: Saved, tmp_path_factory: pytest.TempPathFactory) -> Path:
    saved.sh("app", "mkdir -p notes; echo first >notes/a; chown 1234:1235 notes/a; chmod 640 notes/a; ln -s /etc here")
    saved.sh("cache", "truncate -s 300M /cache/sparse; echo kept >/cache/file; ln /cache/file /cache/hard")
    saved.sh("cache", "echo newline >/cache/'two\nlines'; echo bound >/bound/file; chmod 751 /cache /bound")
    saved.host.run(SET.format(FILE.format(saved.one)))
    saved.host.run(SET_ACL.format(ACL, FILE.format(saved.one)))
    path = tmp_path_factory.mktemp("backups") / "one.tar.zst"
    before = saved.host.started(saved.one)
    data = result(saved.dev("backup", saved.one, "-o", str(path), "--json"))
    after = saved.host.started(saved.one)
    assert {name for name in before if before[name] != after[name]} == {"app", "db", "cache"}
    assert (data["verb"], data["ok"], data["backup"]["file"]) == ("backup", True, str(path))
    assert {part["name"] for part in data["backup"]["parts"]} == {
        *("volumes/rows", "volumes/cache", "volumes/bound", "workspace")
    }
    assert path.stat().st_size == data["backup"]["bytes"] < 30_000_000
    assert saved.leftovers() == []
    return path


def test_rows_and_files_are_as_they_were(saved: Saved, backup: Path) -> None:
    saved.sql("delete from t where n > 10; insert into t values (7777)")
    saved.sh("app", "rm -rf notes here; echo new >later")
    saved.sh("cache", "rm /cache/* /bound/*; chmod 700 /cache /bound; echo later | tee /cache/later >/bound/later")
    ids = saved.host.run("docker ps --quiet --no-trunc | sort")
    refused = saved.dev("restore", saved.one, str(backup), code=2)
    assert "add `--yes`" in refused.stderr
    assert saved.sql("select count(*) from t") == "11"
    ended = saved.dev("restore", saved.one, str(backup), "--yes")
    assert f"Restored {saved.one}" in ended.stdout
    assert saved.sql("select count(*), sum(n) from t") == "1000|500500"
    shown = saved.sh("app", "cat notes/a; stat -c '%u:%g %a' notes/a; readlink here; ls later 2>/dev/null || echo none")
    assert shown == "first\n1234:1235 640\n/etc\nnone"
    assert saved.sh("cache", "cat /cache/file; stat -c %s /cache/sparse; du -k /cache/sparse | cut -f1") == (
        "kept\n314572800\n0"
    )
    shown = saved.sh("cache", "stat -c '%h %a' /cache/hard /cache /bound; cat /cache/two* /bound/*; ls /cache | wc -l")
    assert shown == "2 674\n2 751\n2 751\nnewline\nbound\n5"
    assert saved.host.run(GET.format(FILE.format(saved.one))) == "yes"
    assert saved.host.run(GET_ACL.format(FILE.format(saved.one))) == ACL
    assert saved.host.run("docker ps --quiet --no-trunc | sort") == ids, "containers are the same"
    assert saved.leftovers() == []
    recorded = saved.dev("audit", saved.one).stdout
    assert "backup" in recorded and "restore" in recorded


def test_one_volume_is_saved_and_restored_into_another_stack(saved: Saved, backup: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.tar.zst"
    saved.dev("backup", saved.one, "rows", "-o", str(path))
    saved.sh("cache", "echo mine >/cache/mine", saved.two)
    ended = saved.dev("restore", saved.two, str(path), "--yes")
    assert "this is a backup of another stack" in ended.stderr
    assert saved.sql("select count(*) from t", saved.two) == saved.sql("select count(*) from t")
    assert saved.sh("cache", "cat /cache/mine", saved.two) == "mine"
    missing = saved.dev("backup", saved.one, "nothing", "-o", str(tmp_path / "x"), code=1)
    assert "has no volume `nothing`" in missing.stderr
    assert "exists" in saved.dev("backup", saved.one, "-o", str(path), code=2).stderr
    name, labels = f"{saved.one}_extra", f"com.docker.compose.project={saved.one} com.docker.compose.volume=extra"
    saved.host.run(f"docker volume create --label {' --label '.join(labels.split())} {name}")
    saved.dev("backup", saved.one, "extra", "-o", str(tmp_path / "extra"))
    saved.host.run(f"docker volume rm {name}")
    gone = saved.dev("restore", saved.one, str(tmp_path / "extra"), code=1)
    assert "has no volume `extra`; it has: " in gone.stderr
    assert "Checking" not in gone.stderr, "it is refused before the file is read and a question is asked"


def test_a_damaged_file_is_refused_and_nothing_is_changed(saved: Saved, backup: Path, tmp_path: Path) -> None:
    whole, before = backup.read_bytes(), saved.host.started(saved.one)
    middle = len(whole) // 2
    for content in (whole[:-1], whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :], b"nothing"):
        (tmp_path / "bad").write_bytes(content)
        refused = saved.dev("restore", saved.one, str(tmp_path / "bad"), "--yes", code=1)
        assert "cannot be restored" in refused.stderr
    assert saved.host.started(saved.one) == before
    assert saved.leftovers() == []


def test_data_that_services_do_not_start_with_is_replaced_by_the_old(saved: Saved, tmp_path: Path) -> None:
    hook = saved.repository.root / ".kamal/hooks/backup"
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text('#!/bin/sh\necho "preparing $DEV_STACKS for $KAMAL_COMMAND"\n')
    hook.chmod(0o755)
    before = saved.host.started(saved.one)
    saved.sh("cache", "echo bad >/cache/broken")
    path = tmp_path / "broken.tar.zst"
    prepared = saved.dev("backup", saved.one, "cache", "-o", str(path))
    assert f"preparing {saved.one} for backup" in prepared.stderr
    assert saved.host.started(saved.one) == before, "with the hook no service is stopped"
    hook.write_text("#!/bin/sh\nexit 3\n")
    assert "hook `backup` exited" in saved.dev("backup", saved.one, "-o", str(tmp_path / "x"), code=1).stderr
    saved.sh("cache", "rm /cache/broken; echo good >/cache/file")
    hook.rename(hook.with_name("health"))
    sick = saved.dev("backup", saved.one, "cache", "-o", str(tmp_path / "sick"), code=1)
    assert "hook `health` exited with code 3" in sick.stderr
    assert f"left behind: the backup is complete: {tmp_path / 'sick'}" in sick.stderr
    hook.with_name("health").unlink()
    failed = saved.dev("restore", saved.one, str(path), "--yes", code=1)
    assert "did not stay up" in failed.stderr, str(failed)
    assert "running again with the data that they had before" in failed.stderr
    assert saved.sh("cache", "cat /cache/file; ls /cache/broken 2>/dev/null || echo none") == "good\nnone"
    assert saved.host.states(saved.one)["cache"] == "running"
    assert saved.leftovers() == []


# Moves one entry, and then hangs; everything that works on the restore is killed, as without power.
HANGS = """#!/bin/sh
case "$1 $2" in "-t "*/old/*) /bin/mv -t "$2" "$4"; exec sleep 600 ;; esac
exec /bin/mv "$@"
"""
KILL = (
    "kill -s KILL -- -$(head -n 1 $(ls -td ~/.kamal-dev/.run/*/ | head -n 1)pid) && docker kill {}"
    " && rm /usr/local/bin/mv"
)


def test_a_restore_that_is_killed_in_the_middle_loses_no_data(saved: Saved, backup: Path) -> None:
    host, stack, name = saved.host, saved.one, f"kamal-dev-restore-{saved.one}"
    saved.sql("delete from t; insert into t values (42)")
    saved.sh("app", "echo mine >mine")
    host.run("cat >/usr/local/bin/mv && chmod 755 /usr/local/bin/mv", text=HANGS)
    with started(saved.repository, "restore", stack, str(backup), "--yes") as (process, _):
        wait_for("the exchange", lambda: name in host.run("docker ps --format '{{.Names}} {{.RunningFor}}'"), 120)
        wait_for("one move", lambda: host.says(f"ls -A {OLD.format(stack)}/old/*/*"), 60)
        host.run(KILL.format(name))
        process.wait(60)
    shown = saved.dev("status", stack, code=1).stdout
    assert f"a restore was interrupted: `dev start {stack}` moves the old data back" in shown
    ended = saved.dev("start", stack)
    assert "a restore was interrupted; moved the old data back" in ended.stderr
    assert saved.sql("select sum(n) from t") == "42"
    assert saved.sh("app", "cat mine") == "mine"
    assert saved.leftovers() == []
    assert saved.dev("status", stack).code == 0
    saved.dev("restore", stack, str(backup), "--yes")
    assert saved.sql("select count(*) from t") == "1000"


OLD = "/var/lib/docker/volumes/{}_kamal-dev-restore/_data"


def test_a_stopped_stack_is_saved_and_stays_stopped(saved: Saved, tmp_path: Path) -> None:
    saved.dev("stop", saved.two, "--yes")
    before = saved.hosts[1].states(saved.two)
    saved.dev("backup", saved.two, "-o", str(tmp_path / "two"))
    saved.dev("restore", saved.two, str(tmp_path / "two"), "--yes")
    assert saved.hosts[1].states(saved.two) == before
    assert saved.dev("status", saved.two, "--json").json[0]["state"] == "stopped"


@pytest.mark.parametrize("how", ["interrupt", "reader"])
def test_a_backup_that_is_cut_off_leaves_the_stack_running_and_no_file(saved: Saved, tmp_path: Path, how: str) -> None:
    saved.sh("cache", "head -c 400000000 /dev/urandom >/cache/large")
    path = tmp_path / "cut.tar.zst"
    with started(saved.repository, "backup", saved.one, "cache", "-o", str(path)) as (process, reader):
        part = tmp_path / "cut.tar.zst.part"
        wait_for("data", lambda: part.exists() and part.stat().st_size > 100_000, 60)
        words = ("backup", saved.one, "cache", "-o", str(tmp_path / "second"), "--lock-wait", "0")
        second = saved.repository.attempt(*words)
        assert (second.code, "stack is locked by" in second.stderr) == (1, True), str(second)
        if how == "interrupt":
            process.send_signal(signal.SIGINT)
        else:
            saved.host.run("kill $(cat $(ls -t ~/.kamal-dev/.run/*/reader | head -n 1))")
        code = process.wait(60)
    assert code == (130 if how == "interrupt" else 1), reader.text
    assert "Traceback" not in reader.text
    assert list(tmp_path.iterdir()) == []
    wait_for("the service", lambda: saved.host.states(saved.one).get("cache") == "running", 60)
    wait_for("the end", lambda: saved.leftovers() == [], 30)
    saved.sh("cache", "rm /cache/large")
