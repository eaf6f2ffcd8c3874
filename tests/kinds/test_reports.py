"""A report is true: it compares what runs with what the release has, service by service.

The host alone judges (`host/observe.sh`); `dev status`, `dev list` and the report of `dev deploy` repeat what it says.
A container that is missing, paused, renamed, off its network, of an older version, or that restarts again and again
makes a stack `degraded`, and the exit code 1. What is degraded is never `unchanged`: the next deploy brings it back.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.commands.stacks import KeptRelease
from kamal_dev.errors import Declined, HostError, UsageError
from kamal_dev.model import Container
from kamal_dev.model import Host as Address
from kamal_dev.output.failure import Failure
from kamal_dev.pipeline import status_table
from kamal_dev.pipeline.dry_run import DryRun, dry_run
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.remove import removal, remove
from kamal_dev.pipeline.run.elsewhere import left_behind
from kamal_dev.pipeline.run.report import Report, StackResult
from kamal_dev.pipeline.status import StackStatus
from kamal_dev.pipeline.versions import History, rows
from kamal_dev.project import Project, state
from kamal_dev.project.state import CachedHost
from tests.faults import hosts
from tests.host.lab import TINY
from tests.real.lab import DEV, Host, Lab, Repository, wait_for
from tests.transcripts.paper import HostState, Machine, RecordedRun
from tests.transcripts.test_transcripts import FIRST, SECOND, project, root

__all__ = ["project", "root"]

COMPOSE = f"""\
services:
  app:
    build: .
    command: [/bin/busybox, sh, -c, "trap 'exit 0' TERM; while :; do busybox sleep 0.2; done"]
    volumes: ["..:/workspace", "../inner:/inner"]
  db:
    image: {TINY}
    init: true
    restart: always
    command: [/bin/busybox, sh, -c, "[ ! -f /rows/crash ] || {{ busybox sleep 2; exit 1; }}; exec busybox sleep 99999"]
    volumes: ["rows:/rows"]
    stop_signal: SIGKILL
  paused: &calm
    image: {TINY}
    init: true
    command: [/bin/busybox, sleep, "1000000"]
    stop_signal: SIGKILL
  renamed: *calm
  offline: *calm
  always: {{<<: *calm, restart: always}}
  jobs:
    image: {TINY}
    init: true
    profiles: [jobs]
    command: [/bin/busybox, sleep, "1000000"]
    stop_signal: SIGKILL
volumes:
  rows:
"""
DEVCONTAINER = '{"dockerComposeFile": "compose.yaml", "service": "app", "workspaceFolder": "/workspace"}\n'
DOCKERFILE = f"FROM {TINY}\nCOPY message /message\n"

SHOWN = '{{.Label "com.docker.compose.project"}}{{.Label "com.docker.compose.service"}}={{.ID}}'


@dataclass(frozen=True)
class Stand:
    """A stack that runs, the host that it is on, and the repository that it comes from."""

    repository: Repository
    host: Host

    @property
    def stack(self) -> str:
        return self.repository.stack()

    def deploy(self, code: int = 0, **environment: str) -> dict[str, Any]:
        ended = self.repository.deploy("--skip-push", code=code, **environment)
        return dict(ended.stacks[self.stack])

    def status(self, code: int = 0) -> dict[str, Any]:
        """What `dev status` says; `dev list` must say the same."""
        (stack,) = self.repository.dev("status", "--json", code=code).json
        (listed,) = self.repository.attempt("list", "--json").json
        assert (listed["state"], listed["version"]) == (stack["state"], stack["version"])
        return dict(stack)

    def says(self, code: int = 0) -> str:
        """What `dev status` prints."""
        return self.repository.dev("status", code=code).stdout

    def wrong(self, code: int = 1) -> dict[str, str]:
        """What is wrong with which service."""
        return {item["service"]: item["reason"] for item in self.status(code)["containers"] if item["reason"]}

    def container(self, service: str) -> str:
        label = f"--filter label=com.docker.compose.project={self.stack} --filter label=com.docker.compose.service="
        return self.host.run(f"docker ps --all --quiet {label}{service}").strip()

    def run(self, script: str) -> str:
        """Run a script on the host; `$app` and so on are containers, `$home` is the folder of the stack."""
        rows = self.host.run(f"docker ps --all --format '{SHOWN}'").splitlines()
        names = " ".join(row.removeprefix(self.stack) for row in rows if row.startswith(self.stack))
        return self.host.run(f"{names} home=/root/.kamal-dev/{self.stack}\n{script}")


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    hosts.tiny_image()
    host = hosts.ready(lab.folder, "reports")
    hosts.load(host, TINY)
    yield host
    hosts.remove(host)


@pytest.fixture(scope="module")
def stand(lab: Lab, host: Host) -> Stand:
    files = {
        ".devcontainer/devcontainer.json": DEVCONTAINER,
        ".devcontainer/Dockerfile": DOCKERFILE,
        "inner/file": "inner\n",
    }
    made = Stand(lab.small("reports", [host], files, compose=COMPOSE), host)
    made.deploy()
    return made


@pytest.mark.real
def test_a_stack_that_runs_as_its_release_has_it_is_up(stand: Stand) -> None:
    assert stand.status()["state"] == "up"
    assert stand.wrong(0) == {}
    assert stand.deploy()["state"] == "unchanged"


DAMAGES = {
    "as services": (
        """docker rm --force $db; docker pause $paused; docker rename $renamed other
        docker network disconnect {stack}_default $offline; docker stop $always""",
        {
            "db": "its container is missing",
            "paused": "paused",
            "renamed": "renamed from `{stack}-renamed-1`",
            "offline": "not connected to the network `{stack}_default`",
            "always": "exited with code 137",
        },
    ),
    "as the main service that ended with 0": ("docker stop $app", {"app": "exited with code 0"}),
    "in its workspace, which is gone": ("rm -r $home/workspace/*", {"app": "was deleted or replaced"}),
    "in its workspace, whose place another folder took": (
        "cd $home/workspace && for at in *; do cp -R $at ../copy && rm -r $at && mv ../copy $at; done",
        {"app": "was deleted or replaced"},
    ),
    "in a folder of its workspace": ("rm -r $home/workspace/*/inner", {"app": "was deleted or replaced"}),
}


@pytest.mark.real
@pytest.mark.parametrize("where", DAMAGES)
def test_what_was_broken_by_hand_is_reported_and_the_next_deploy_brings_it_back(stand: Stand, where: str) -> None:
    script, wrong = DAMAGES[where]
    stand.run(script.replace("{stack}", stand.stack))
    said = stand.wrong()
    assert said.keys() == wrong.keys()
    shown = stand.says(1)
    for service, reason in wrong.items():
        assert reason.replace("{stack}", stand.stack) in said[service]
        assert f"{service}: {said[service]}" in shown
    assert stand.deploy()["state"] == "deployed"
    assert stand.wrong(0) == {}
    assert stand.deploy()["state"] == "unchanged"
    stand.run("mkdir -p $home/workspace/reports/inner && echo here >$home/workspace/reports/inner/now")
    assert stand.run("docker exec $app busybox cat /workspace/inner/now /inner/now") == "here\n" * 2


@pytest.mark.real
def test_a_stack_of_which_nothing_runs_is_down(stand: Stand) -> None:
    stand.run("docker stop $app $db $paused $renamed $offline $always")
    assert stand.status(1)["state"] == "down"
    assert stand.deploy()["state"] == "deployed"


@pytest.mark.real
def test_a_crash_loop_is_reported_between_two_crashes_too(stand: Stand) -> None:
    stand.run("docker exec $db busybox touch /rows/crash; docker exec $db busybox kill 1")
    wait_for("a crash", lambda: stand.host.containers(stand.stack)["db"]["RestartCount"] > 0)
    wait_for("a start", lambda: stand.host.states(stand.stack)["db"] == "running")
    assert "restarted" in stand.wrong()["db"]
    assert "restart" in stand.says(1)
    stand.run("rm $(docker volume inspect --format '{{.Mountpoint}}' " + f"{stand.stack}_rows)/crash")
    wait_for("a calm start", lambda: stand.host.states(stand.stack)["db"] == "running")
    time.sleep(3)
    assert stand.deploy()["state"] == "deployed"
    assert stand.status()["state"] == "up"


@pytest.mark.real
def test_a_service_goes_with_the_profile_that_started_it(stand: Stand) -> None:
    started = stand.deploy(COMPOSE_PROFILES="jobs")
    assert [item["service"] for item in started["containers"] if item["service"] == "jobs"]
    before = stand.container("app")
    ended = stand.deploy()
    assert "jobs" not in {item["service"] for item in ended["containers"]}
    assert stand.container("jobs") == ""
    assert stand.container("app") == before
    assert stand.status()["state"] == "up"


@pytest.mark.real
def test_a_service_that_was_started_by_hand_is_no_part_of_the_release(stand: Stand) -> None:
    stand.run("cd $home/current && docker compose --profile jobs up --detach jobs")
    assert stand.wrong() == {"jobs": "not part of this release"}
    assert stand.deploy()["state"] == "deployed"
    assert stand.wrong(0) == {}


@pytest.mark.real
def test_a_deploy_that_failed_is_told_of_until_another_one_goes_well(stand: Stand) -> None:
    compose = stand.repository.root / ".devcontainer/compose.yaml"
    good = compose.read_text()
    compose.write_text(good.replace('command: [/bin/busybox, sh, -c, "trap', 'command: [/bin/busybox, none, "trap'))
    assert stand.deploy(code=1)["state"] == "failed"
    assert stand.status()["last"]["state"] == "restored"
    assert "failed" in stand.says() and "the previous release was restored" in stand.says()
    compose.write_text(good)
    assert stand.deploy()["state"] == "unchanged"
    assert stand.status()["last"] is None


STATES = f"""\
services:
  app:
    build: .
    command: [/bin/busybox, sh, -c, "trap 'exit 0' TERM; while :; do busybox sleep 0.2; done"]
  db:
    image: {TINY}
    init: true
    command: [/bin/busybox, sh, -c, "COMMAND"]
    restart: always
    stop_signal: SIGKILL
    healthcheck: {{test: [CMD, /bin/busybox, test, "!", -f, /sick], interval: 1s, timeout: 5s, retries: 1}}
  once:
    image: {TINY}
    command: [/bin/busybox, "true"]
"""
STEADY = "exec busybox sleep 99999"
UP = {"app": "up", "db": "up", "once": "completed"}


@pytest.mark.real
def test_status_list_and_the_report_of_a_deploy_have_one_word_for_a_state(lab: Lab, host: Host) -> None:
    files = {".devcontainer/devcontainer.json": DEVCONTAINER, ".devcontainer/Dockerfile": DOCKERFILE}
    stand = Stand(lab.small("states", [host], files, compose=STATES.replace("COMMAND", "exit 7")), host)
    compose = stand.repository.root / ".devcontainer/compose.yaml"

    def reported(code: int = 0) -> dict[str, str]:
        return states(stand.repository.deploy("--skip-push", "--keep-failed", code=code).stacks[stand.stack])

    def seen(state: str) -> dict[str, str]:
        """What `dev status` says, which must be what `dev list` says."""
        found = stand.status(code=0 if state == "up" else 1)
        assert found["state"] == state
        return states(found)

    assert reported(1)["db"] == seen("degraded")["db"] == "crash loop"
    compose.write_text(STATES.replace("COMMAND", f"busybox touch /sick; {STEADY}"))
    assert reported(1)["db"] == seen("degraded")["db"] == "unhealthy"
    compose.write_text(STATES.replace("COMMAND", STEADY))
    assert reported() == seen("up") == UP

    for damage, word in (("docker pause $db", "paused"), ("docker rm --force $db", "missing")):
        stand.run(damage)
        assert seen("degraded") == UP | {"db": word}
        assert reported() == seen("up") == UP

    host.run("systemctl stop docker.socket docker")
    assert seen("unknown") == {}
    told = stand.status(1)["reason"]
    assert told.startswith("Docker is not responding on this host: ")
    assert f"unknown: {told}" in stand.repository.dev("list", code=1).stdout
    assert reported() == seen("up") == UP


def states(stack: dict[str, Any]) -> dict[str, str]:
    """The state of each container of a stack."""
    return {item["service"]: item["state"] for item in stack["containers"]}


# --- what a deploy leaves behind


def _warned(project: Project, *known: CachedHost, names: tuple[str, ...] = (FIRST,), is_all: bool = True) -> list[str]:
    """Return what a deploy of these stacks warns of, where these hosts are remembered."""
    run = RecordedRun.of(project, Machine(), {FIRST: HostState(), SECOND: HostState()})
    state.update(project.private(), lambda found: replace(found, hosts=known))
    return list(left_behind(run.project, dict(run.provider.stacks()), names, is_all=is_all))


def _known(stack: str, address: str, provider: str = "static") -> CachedHost:
    return CachedHost(stack, address, "root", provider=provider)


def test_a_stack_that_was_deployed_to_another_host_is_warned_of(project: Project) -> None:
    (text,) = _warned(project, _known(FIRST, "10.9.9.9"), names=(FIRST, SECOND))
    assert text.startswith(f"{FIRST} was deployed to 10.9.9.9 before")
    assert f"add 10.9.9.9 at its old position and `dev remove {FIRST}`" in text
    (text,) = _warned(project, _known("guestbook-9", "10.9.9.9"), names=(FIRST, SECOND))
    assert "to remove it, `dev remove guestbook-9`" in text
    (text,) = _warned(project, _known(FIRST, "10.0.0.1", "docker"), names=(FIRST, SECOND))
    assert "set `provider.type` to it" in text


def test_a_stack_that_keeps_its_version_is_named(project: Project) -> None:
    there = (_known(FIRST, "10.0.0.1"), _known(SECOND, "10.0.0.2"))
    (text,) = _warned(project, *there)
    assert text == f"{SECOND} is not included and keeps its version: `dev deploy --count 2` deploys it too"
    assert _warned(project, *there, names=(FIRST, SECOND)) == []
    assert _warned(project, *there, is_all=False) == []
    # A host that is listed, and was never deployed to, has no version.
    assert _warned(project, there[0]) == []
    made = replace(project.config, provider=replace(project.config.provider, type="docker"))
    (text,) = _warned(replace(project, config=made))
    assert text.startswith(f"{SECOND} is not included")


def test_a_host_that_was_never_made_is_not_said_to_be_removed(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {})
    state.update(project.private(), lambda found: replace(found, creating=(("guestbook-7", "now"),)))
    report = remove(run, ("guestbook-7",), keep_volumes=False, agree=lambda _: True)
    assert [outcome.state for outcome in report.outcomes] == ["absent"]
    assert run.events[-1].message == "Nothing to remove"
    assert state.read(project.private()).state.creating == ()


def test_a_removal_shows_its_plan_before_it_asks_and_a_preview_changes_nothing(project: Project) -> None:
    run = RecordedRun.of(project, Machine(), {FIRST: HostState()})
    _, planned = removal(run, (FIRST,), keep_volumes=False)
    assert (str(planned), run.events) == (f"{FIRST}  remove containers, volumes and workspace", [])
    with pytest.raises(Declined):
        remove(run, (FIRST,), keep_volumes=False, agree=lambda _: False)
    assert [event.message for event in run.events] == [str(planned)]
    assert run.hosts[FIRST].transcript == []


@pytest.mark.real
def test_a_stack_that_is_removed_while_it_is_deployed_gets_its_source_again(stand: Stand) -> None:
    clone = stand.repository.root.with_name("reports-clone")
    shutil.copytree(stand.repository.root, clone, symlinks=True)
    stand.repository.write({".devcontainer/message": "removed meanwhile\n"})
    hook = stand.repository.root / ".kamal/hooks/post-build"
    hook.parent.mkdir(parents=True, exist_ok=True)
    hook.write_text(f"#!/bin/sh\nsleep 2\ncd {clone} && {DEV} remove --yes\n")
    hook.chmod(0o755)
    try:
        ended = stand.repository.dev("deploy", "--skip-push")
    finally:
        hook.unlink()
    assert f"{stand.stack} was removed while this deploy was running" in ended.stderr
    assert stand.run("docker exec $app busybox cat /workspace/inner/file") == "inner\n"
    assert stand.status()["state"] == "up"


# --- what is only planned


LOCK = {"pid": 7, "word": "apply", "by": "ann@desk", "since": "2026-01-01T00:00:00Z"}


def _planned(project: Project, lock: dict[str, Any], wait: float = 600) -> tuple[DryRun, list[str]]:
    """Return a dry run with the first stack locked, and what its host was asked."""
    run = RecordedRun.of(project, Machine(), {FIRST: HostState({"lock": lock}), SECOND: HostState()})
    run = replace(run, wanted_lock_wait=wait)
    planned = dry_run([(run, DeployOptions(agree=_refuse, consent=_refuse))])
    return planned, run.hosts[FIRST].transcript


def _refuse(question: str) -> bool:
    raise AssertionError(question)


def test_a_plan_asks_nothing_and_waits_for_no_lock(project: Project) -> None:
    planned, asked = _planned(project, LOCK)
    assert planned.error() is None
    (note,) = planned.plan.of(FIRST).notes
    assert note == "locked by ann@desk since 00:00 UTC; a deploy waits up to 600 s"
    assert asked == [f"{FIRST}$ facts {FIRST}"]


@pytest.mark.parametrize(("lock", "wait"), [({**LOCK, "state": "stale", "age": 99}, 600), (LOCK, 0)])
def test_a_plan_that_would_fail_is_an_error(project: Project, lock: dict[str, Any], wait: float) -> None:
    planned, _ = _planned(project, lock, wait)
    assert planned.as_json()["failed"] == [FIRST]
    assert "would fail for guestbook-1: locked by ann@desk" in str(planned.error())


def test_a_stack_that_is_there_can_be_deployed_by_name_whatever_the_count(project: Project) -> None:
    one = replace(project, config=replace(project.config, count=1))
    run = RecordedRun.of(one, Machine(), {FIRST: HostState(), SECOND: HostState()})
    assert dry_run([(run, DeployOptions(names=(SECOND,)))]).error() is None
    assert run.hosts[SECOND].transcript
    assert not run.hosts[FIRST].transcript
    with pytest.raises(UsageError, match="there is no stack `guestbook-3`"):
        dry_run([(run, DeployOptions(names=("guestbook-3",)))])


def test_tables_and_questions_cut_what_nobody_types() -> None:
    commit, digest = "a" * 40, "b" * 64
    kept = KeptRelease("app-1", f"{commit}-0123abcd", version=commit, at="2026-01-02T03:04:05Z", performer="ann")
    (row,) = rows(History("app-1", Address("app-1", "h"), (kept,)))
    assert "a" * 12 in row
    failed = replace(kept, state="restored", phase="observe", reason="app: exited with code 1, " + "because " * 30)
    (row,) = rows(History("app-1", Address("app-1", "h"), (failed,)))
    assert "failed in observe: app: exited with code 1…" in row
    container = Container("app", "app-1-app-1", f"localhost:5555/app-dev@sha256:{digest}", "running")
    shown = "".join(
        (*row, *next(status_table.rows(StackStatus("app-1", Address("app-1", "h"), "up", commit, (container,)))))
    )
    assert "a" * 13 not in shown
    assert "b" * 13 not in shown


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_hosts_are_not_made_unasked(tmp_path: Path, words: tuple[str, ...]) -> None:
    folder = _project(tmp_path)
    settings = (folder / "config/dev.yml").read_text()
    (folder / "config/dev.yml").write_text(settings.replace("{type: static, hosts: [127.0.0.1:1]}", "{type: docker}"))
    ended = _dev(folder, f"deploy {' '.join(words)}")
    assert ended.returncode == 2, ended
    assert "cannot ask for confirmation without a terminal: Create blog-1 with docker?" in ended.stderr
    assert "hint: add `--yes`" in ended.stderr


def test_a_failure_without_words_is_told_too() -> None:
    outcome = StackResult("blog-1", "10.0.0.1", "failed", error=HostError("blog-1", ""))
    report = Report("Deployed", "v1", (outcome,))
    assert report.result().stacks[0].error == Failure("host", False, "HostError, without a reason")


# --- whatever becomes of what is said

STREAMS = {
    "closed stdout": (">&-", 0),
    "closed stderr": ("2>&-", 0),
    "closed stdin": ("<&-", 0),
    "all three closed": ("<&- >&- 2>&-", 0),
    "full stdout": (">/dev/full", 1),
    "full stderr": ("2>/dev/full", 0),
    "both full": (">/dev/full 2>&1", 1),
    "nobody who reads": ("| :", 0),
}


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("words", ["config --verbose", "--version"])
def test_a_stream_that_takes_nothing_is_no_defect(tmp_path: Path, words: str, streams: str) -> None:
    redirection, code = STREAMS[streams]
    ended = _dev(_project(tmp_path), f"{words} {redirection}")
    assert ended.returncode == code, ended
    assert "defect" not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stdout + ended.stderr
    assert "Exception ignored" not in ended.stdout + ended.stderr
    if streams == "full stdout":
        assert "No space left on device" in ended.stderr


def test_what_is_printed_goes_nowhere_but_to_its_stream(tmp_path: Path) -> None:
    # Without a descriptor 2, the first file that is opened would be taken for stderr.
    folder = _project(tmp_path)
    ended = _dev(folder, "config --verbose 2>&-")
    assert "service:" in ended.stdout
    assert not [path for path in folder.rglob("*") if path.is_file() and "git rev-parse" in path.read_text()]


@pytest.mark.parametrize("verb", ["config", "status", "deploy", "init", "doctor"])
def test_a_current_folder_that_is_gone_is_said(tmp_path: Path, verb: str) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    ended = _dev(folder, verb, before="rmdir ../gone;")
    assert ended.returncode == 2
    assert "the current folder no longer exists" in ended.stderr
    assert "hint: `cd` to the repository" in ended.stderr


def _project(folder: Path) -> Path:
    (folder / ".devcontainer").mkdir()
    (folder / ".devcontainer/devcontainer.json").write_text('{"image": "debian:12"}')
    (folder / "config").mkdir()
    settings = "service: blog\nregistry: {server: localhost:5555}\nprovider: {type: static, hosts: [127.0.0.1:1]}\n"
    (folder / "config/dev.yml").write_text(settings)
    return folder


def _dev(folder: Path, line: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    script = f"{before} {sys.executable} -m kamal_dev {line}"
    return subprocess.run(("sh", "-c", script), check=False, cwd=folder, capture_output=True, text=True, timeout=60)
