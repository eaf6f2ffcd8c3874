"""Hooks of .kamal/hooks: run for real on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kamal_dev.errors import HookFailed
from kamal_dev.model import Container, Host
from kamal_dev.output import Event, Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.doctor import doctor
from kamal_dev.pipeline.dry_run import dry_run
from kamal_dev.pipeline.health import checked
from kamal_dev.pipeline.plan import DeployOptions
from kamal_dev.pipeline.run.hooks import Hooks
from kamal_dev.pipeline.run.report import StackResult
from kamal_dev.pipeline.run.run import Run
from kamal_dev.pipeline.status import StackStatus
from tests.real.lab import DEV, LISTENING, wait_for

# Nothing listens there, which is known at once.
SETTINGS = """\
service: blog
provider: {type: static, hosts: [root@127.0.0.1:1, root@127.0.0.1:2]}
secrets: [API_TOKEN]
vms: {count: 2}
"""
LEFT = "nothing was changed"
HOSTS = {"blog-1": Host("blog-1", "10.0.0.1"), "blog-2": Host("blog-2", "10.0.0.2")}
FIRST = {"blog-1": HOSTS["blog-1"]}


class Project:
    """A project in a folder, and what was said about its hooks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.events: list[Event] = []
        self.write("config/dev.yml", SETTINGS)
        self.write(".kamal/secrets", "API_TOKEN=$(touch asked; echo tok-5f3a9c)\n")
        self.write(".devcontainer/devcontainer.json", '{"image": "debian:12"}')
        subprocess.run(["git", "init", "--quiet", str(root)], check=True)
        subprocess.run(["git", "-C", str(root), "config", "user.email", "ada@example.com"], check=True)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def hook(self, name: str, script: str, mode: int = 0o755) -> None:
        self.write(f".kamal/hooks/{name}", f"#!/bin/sh\n{script}\n", mode)

    def hooks(self, command: str = "deploy", *, skip: bool = False) -> Hooks:
        output = Output(self.events.append)
        return Hooks(Run.open(self.root, output, environment=dict(os.environ)), command, skip=skip)

    @property
    def said(self) -> list[tuple[str, str]]:
        return [(event.status, sentence(event)) for event in self.events]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_a_hook_is_announced_and_run_in_the_project_with_its_variables(project: Project) -> None:
    project.hook("pre-connect", 'pwd\necho "$KAMAL_COMMAND $DEV_STACKS $KAMAL_HOSTS by $KAMAL_PERFORMER"')
    project.hooks().before("pre-connect", HOSTS, left_behind=LEFT)
    assert project.said == [
        ("started", "Running hook `pre-connect`"),
        ("output", str(project.root)),
        ("output", "deploy blog-1,blog-2 10.0.0.1,10.0.0.2 by ada@example.com"),
        ("done", "Ran hook `pre-connect`"),
    ]


def test_nothing_is_said_or_asked_where_there_is_no_hook_but_a_sample(project: Project) -> None:
    project.hook("pre-deploy.sample", "touch made")
    project.hooks().before("pre-deploy", FIRST, left_behind=LEFT)
    assert project.said == []
    assert not (project.root / "asked").exists()
    assert not (project.root / "made").exists()


def test_skipped_hooks_are_not_run(project: Project) -> None:
    project.hook("pre-deploy", "touch made")
    hooks = project.hooks(skip=True)
    hooks.before("pre-deploy", FIRST, left_behind=LEFT)
    assert not hooks.has("pre-deploy")
    assert project.said == []
    assert not (project.root / "made").exists()


def test_a_file_that_is_not_executable_is_said_to_be_so_and_not_run(project: Project) -> None:
    project.hook("pre-build", "touch made", mode=0o644)
    project.hooks().before("pre-build", {}, left_behind=LEFT)
    said = ".kamal/hooks/pre-build is not executable and was skipped: `chmod +x .kamal/hooks/pre-build`"
    assert project.said == [("warning", said)]
    assert not (project.root / "made").exists()
    checks = doctor(project.root, Output(lambda event: None), config_path=None, devcontainer_path=None)
    (check,) = [check for check in checks if check.name == "hooks"]
    assert (check.is_fine, check.advice) == (False, "`chmod +x .kamal/hooks/pre-build`")


def test_hooks_around_a_deploy_get_the_secrets_and_their_output_does_not_show_them(project: Project) -> None:
    project.hook("pre-deploy", 'test "$API_TOKEN" = tok-5f3a9c && echo "token $API_TOKEN"')
    project.hook("pre-build", 'echo "${API_TOKEN:-none}"')
    hooks = project.hooks()
    hooks.before("pre-build", {}, left_behind=LEFT)
    assert not (project.root / "asked").exists()
    hooks.before("pre-deploy", FIRST, left_behind=LEFT)
    assert [text for kind, text in project.said if kind == "output"] == ["none", "token [redacted]"]


def test_a_failure_stops_with_the_last_lines_and_says_what_is_left(project: Project) -> None:
    project.hook("pre-build", "echo checking\necho the tree is dirty >&2\nexit 3")
    with pytest.raises(HookFailed) as failed:
        project.hooks("build").before("pre-build", {}, left_behind="nothing was built")
    assert failed.value.message == "hook `pre-build` exited with code 3\nthe tree is dirty"
    assert failed.value.left_behind == "nothing was built"
    assert "--skip-hooks" in failed.value.hint
    assert failed.value.exit_code == 1


def test_health_is_asked_for_each_stack_that_is_up_and_has_the_last_word(project: Project) -> None:
    project.hook("health", 'echo "$DEV_STACKS $KAMAL_HOSTS"; test "$DEV_STACKS" = blog-1 || { echo slow >&2; exit 4; }')
    up = [StackStatus(name, host, "up") for name, host in HOSTS.items()]
    down = StackStatus("blog-3", Host("blog-3", "10.0.0.3"), "down")
    found = checked(project.hooks("status"), [*up, down], 4)
    assert [(stack.name, stack.state) for stack in found] == [
        ("blog-1", "up"),
        ("blog-2", "degraded"),
        ("blog-3", "down"),
    ]
    assert found[1].reason.startswith("hook `health` exited with code 4, ")
    assert not found[1].is_fine
    said = sorted(text for kind, text in project.said if kind == "output")
    assert said == ["blog-1 10.0.0.1", "blog-2 10.0.0.2", "slow"]
    assert checked(project.hooks("status", skip=True), up, 4) == up


def test_health_is_asked_after_a_change_only_if_all_containers_are_up(project: Project) -> None:
    project.hook("health", 'echo "$DEV_COMMAND $DEV_VERSION"; exit 1')
    hooks, host = project.hooks("start"), HOSTS["blog-1"]
    app, done, db = (
        Container(name, name, "i", state) for name, state in (("app", "up"), ("seed", "completed"), ("db", "stopped"))
    )
    result = StackResult("blog-1", host.address, "started", "abc", (app, done))
    ended = hooks.checked(result, host, left_behind="its containers are running")
    assert (ended.state, ended.error and ended.error.message.splitlines()[1]) == ("failed", "start abc")
    for other in (replace(result, containers=(app, db)), replace(result, state="failed")):
        assert hooks.checked(other, host, left_behind="") == other
    assert project.hooks("start", skip=True).checked(result, host, left_behind="") == result


def test_a_failure_afterwards_stops_nothing_and_is_returned(project: Project) -> None:
    project.hook("post-deploy", 'echo "$KAMAL_RUNTIME $DEV_RESULT"; kill -TERM $$')
    error = project.hooks().after_deploy([StackResult("blog-1", "10.0.0.1", "deployed")], 41.7)
    assert error is not None
    assert error.message == "hook `post-deploy` was killed by signal 15\n42 deployed"
    assert error.left_behind == "the changes of `dev deploy` are kept"
    assert project.said[-1] == ("failed", "hook `post-deploy` was killed by signal 15")


def test_a_process_that_a_hook_leaves_behind_holds_nobody_up(project: Project) -> None:
    project.hook("pre-build", "sleep 60 & echo $!")
    started = time.monotonic()
    project.hooks("build").before("pre-build", {}, left_behind=LEFT)
    assert time.monotonic() - started < 10
    os.kill(int(next(text for _, text in project.said if text.isdecimal())), signal.SIGTERM)


@pytest.mark.parametrize("text", ["echo no first line\n", "#!/bin/sh\r\necho\r\n", "#!/no/such/program\n"])
def test_a_hook_that_the_system_cannot_run_is_a_failure_that_says_why(project: Project, text: str) -> None:
    project.write(".kamal/hooks/pre-connect", text, 0o755)
    with pytest.raises(HookFailed, match=r"exited with code 12[67]\n.*pre-connect: ") as failed:
        project.hooks().before("pre-connect", {}, left_behind=LEFT)
    assert "#!/bin/sh" in failed.value.hint


def test_a_dry_run_shows_hooks_and_runs_none(project: Project) -> None:
    for name in ("pre-connect", "pre-deploy"):
        project.hook(name, "touch made")
    run = Run.open(project.root, Output(project.events.append), environment=dict(os.environ))
    lines = dry_run([(run, DeployOptions())]).steps
    ran = [line for line in lines if "kamal/hooks" in line]
    assert ran == [
        "$ .kamal/hooks/pre-connect",
        "$ .kamal/hooks/pre-deploy",
    ]
    assert not [line for line in dry_run([(run, DeployOptions(skip_hooks=True))]).steps if "kamal/hooks" in line]
    assert not (project.root / "made").exists()


def test_an_interrupt_ends_a_hook_and_what_it_started(project: Project) -> None:
    project.hook("pre-connect", "echo $$ >pid; sleep 1000 & echo begun; wait")
    started = (sys.executable, "-c", LISTENING, DEV, "deploy")
    with subprocess.Popen(started, cwd=project.root, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert any("begun" in line for line in process.stderr)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    group = (project.root / "pid").read_text().strip()
    wait_for("the end of its processes", lambda: subprocess.run(["pgrep", "-g", group], check=False).returncode == 1)


def test_a_host_is_owed_its_setup_until_the_hook_went_well(project: Project) -> None:
    project.hook("docker-setup", 'echo "$DEV_STACKS" >>ran; test -e ready')
    project.hooks().owe_setup("blog-2")
    with pytest.raises(HookFailed) as failed:
        project.hooks().docker_setup(HOSTS)
    assert "the next deploy runs the hook again" in failed.value.left_behind
    project.write("ready", "")
    for _ in range(2):
        project.hooks().docker_setup(HOSTS)
    assert (project.root / "ran").read_text() == "blog-2\nblog-2\n"
