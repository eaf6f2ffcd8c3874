"""Whole deploys as text, `host$ command`: what the reviewer reads here is what `--verbose` shows the user.

After a change that is meant, `UPDATE_TRANSCRIPTS=1 pytest tests/transcripts` writes them anew; read the difference.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.commands.hooks import FOLDER, NAMES
from kamal_dev.errors import DevError, ProviderError
from kamal_dev.model import Result, Secret, Step
from kamal_dev.output import Output
from kamal_dev.output.sentences import sentence
from kamal_dev.pipeline.deploy import deploy
from kamal_dev.pipeline.dry_run import dry_run
from kamal_dev.pipeline.images.building import build_all
from kamal_dev.pipeline.images.pushing import push_all
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.plan import DeployOptions, plan
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from tests.transcripts.paper import HostState, Machine, RecordedRun, load, normal, transcript

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "examples/guestbook"
SECRETS = {
    "POSTGRES_PASSWORD": "pg-0f1e2d3c4b5a",
    "REGISTRY_TOKEN": "rt-5a4b3c2d1e0f",
    "BUILD_TOKEN": "bt-a0b1c2d3e4f5",
}
ENVIRONMENT = {**SECRETS, "REGISTRY_USER": "acme"}
SETTINGS = """\
service: guestbook
registry: {server: registry.example.com, username_env: REGISTRY_USER, password_env: REGISTRY_TOKEN}
provider: {type: static, hosts: [root@10.0.0.1, root@10.0.0.2]}
secrets: [POSTGRES_PASSWORD]
build: {secrets: [BUILD_TOKEN]}
vms: {count: 2}
"""
IMAGE = "registry.example.com/acme/guestbook-dev"
FIRST, SECOND = "guestbook-1", "guestbook-2"
EARLIER = "0123456789abcdef0123456789abcdef01234567"
CRASHED = (
    {
        "type": "container",
        "service": "app",
        "name": "guestbook-2-app-1",
        "image": IMAGE,
        "state": "exited 7",
        "exit_code": 7,
        "reason": "exited with code 7",
        "log": "no database",
    },
    {
        "type": "result",
        "ok": False,
        "state": "restored",
        "phase": "observe",
        "reason": "app did not stay up",
        "current": f"{EARLIER}-00000000",
        "restored": True,
    },
)
UNFINISHED = (
    {
        "type": "lifecycle",
        "stage": "postCreateCommand",
        "command": "npm ci",
        "exit_code": 1,
        "reason": "exited with code 1",
        "log": "no lock file",
    },
    {
        "type": "result",
        "ok": False,
        "state": "unfinished",
        "phase": "postCreateCommand",
        "reason": "postCreateCommand failed",
        "current": f"{EARLIER}-00000000",
    },
)
TOOK_FIRST = ({"type": "result", "ok": True, "state": "new", "release": "new-22222222", "previous": ""},)
TOOK = ({**TOOK_FIRST[0], "previous": f"{EARLIER}-00000000"},)
SOWN = {"workspace": ["guestbook"]}
UP, BARE = HostState(SOWN), HostState({"daemon": False, "engine": "", "compose": ""}, has_database=False)
SAME = HostState(SOWN, has_image=True, is_current=True)
CUT_OFF = HostState(has_database=False, pulls=False)


@dataclass(frozen=True)
class Case:
    """One deploy: what is there before, and what is asked for."""

    first: HostState
    second: HostState
    order: DeployOptions = field(default_factory=DeployOptions)
    built: bool = True
    pushed: bool = True
    batch: str = ""
    rollback: str = "host"


CASES = {
    "first_deploy": Case(BARE, BARE, built=False, pushed=False),
    "new_version": Case(UP, UP, built=False, pushed=False),
    "nothing_changed": Case(SAME, SAME),
    "skip_build": Case(UP, UP, DeployOptions(skip_build=True), pushed=False),
    "nothing_built": Case(UP, UP, DeployOptions(skip_build=True), built=False, pushed=False),
    "skip_push": Case(UP, UP, DeployOptions(skip_push=True), pushed=False),
    "one_stack": Case(UP, UP, DeployOptions(names=(SECOND,))),
    "a_host_that_cannot_pull": Case(CUT_OFF, UP),
    "a_service_that_crashes": Case(UP, HostState(SOWN, outcome=CRASHED)),
    "a_command_that_fails": Case(UP, HostState(SOWN, outcome=UNFINISHED)),
    "a_first_batch_that_fails": Case(HostState(SOWN, outcome=CRASHED), UP, batch="50%"),
    "a_first_batch_that_is_well": Case(UP, UP, batch="1"),
    "all_go_back": Case(HostState(SOWN, outcome=TOOK), HostState(SOWN, outcome=CRASHED), rollback="all"),
    "all_stop": Case(HostState(SOWN, outcome=TOOK_FIRST), HostState(SOWN, outcome=CRASHED), rollback="all"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example in a git repository, with a private registry."""
    root = tmp_path_factory.mktemp("transcripts") / "guestbook"
    shutil.copytree(EXAMPLE, root, ignore=shutil.ignore_patterns("local", "secrets"))
    (root / "config/dev.yml").write_text(SETTINGS)
    git = ("git", "-C", str(root), "-c", "user.name=Test", "-c", "user.email=test@example.com")
    for words in (("init", "--quiet"), ("add", "--all"), ("commit", "--quiet", "--message", "Start")):
        subprocess.run((*git, *words), check=True)
    return root


@pytest.fixture(scope="module")
def project(root: Path) -> Project:
    """The example as `dev` reads it."""
    return load(root, ENVIRONMENT)


@pytest.fixture
def with_hooks(root: Path) -> Iterator[None]:
    """Every hook that there is."""
    for name in NAMES:
        path = root / FOLDER / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    yield
    shutil.rmtree(root / FOLDER)


def recorded(project: Project, case: Case, *, failing_hook: str = "") -> tuple[RecordedRun, str]:
    """Deploy on paper; return the run, and what it ended with."""
    settings = replace(project.config.deploy, batch=case.batch, rollback=case.rollback)
    project = replace(project, config=replace(project.config, deploy=settings))
    machine = prepared(project, case)
    machine.failing_hook = failing_hook
    run = RecordedRun.of(project, machine, {FIRST: case.first, SECOND: case.second})
    try:
        end = str(deploy(run, case.order))
    except DevError as error:
        end = f"error: {error}"
    finally:
        run.close()
    return run, end


def prepared(project: Project, case: Case) -> Machine:
    """Return a machine that has built and pushed what the case says."""
    machine = Machine(["postgres:15"])
    run = RecordedRun.of(project, machine, {})
    if case.built:
        build_all(run.project, run.tools, BuildOptions())
    if case.pushed:
        push_all(run.project, run.tools, config="")
    machine.forget()
    return machine


@pytest.mark.parametrize("name", CASES)
def test_a_deploy_runs_exactly_what_its_transcript_says(name: str, project: Project) -> None:
    compare(name, transcript(*recorded(project, CASES[name])))


@pytest.mark.usefixtures("with_hooks")
def test_hooks_run_before_anything_changes_and_once_all_is_done(project: Project) -> None:
    run, end = recorded(project, CASES["first_deploy"])
    compare("hooks", transcript(run, end))
    steps = {step.label.removeprefix(f"{FOLDER}/"): step for step in run.machine.steps if FOLDER in step.label}
    told = {name: dict(step.environment) for name, step in steps.items()}
    assert {name for name in told if "POSTGRES_PASSWORD" in told[name]} == {"pre-deploy", "post-deploy"}
    assert told["docker-setup"]["KAMAL_HOSTS"] == told["pre-deploy"]["KAMAL_HOSTS"] == "10.0.0.1,10.0.0.2"
    assert told["post-deploy"]["DEV_RESULT"] == "deployed"


def test_hosts_are_logged_in_to_once_while_a_deploy_is_prepared(project: Project) -> None:
    run, _ = recorded(project, CASES["new_version"])
    assert [host.early_logins for host in run.hosts.values()] == [1] * len(run.hosts)
    run = RecordedRun.of(project, prepared(project, CASES["new_version"]), {FIRST: UP, SECOND: UP})
    deploy(run, DeployOptions(names=(SECOND,)))
    run.close()
    assert {name: host.early_logins for name, host in run.hosts.items()} == {FIRST: 0, SECOND: 1}


def test_a_host_is_logged_in_to_again_after_its_bootstrap(project: Project) -> None:
    run = RecordedRun.of(project, prepared(project, CASES["new_version"]), {FIRST: BARE, SECOND: UP})
    deploy(run, DeployOptions())
    run.close()
    # The next login has the groups that come with Docker.
    assert {name: host.is_kept for name, host in run.hosts.items()} == {FIRST: False, SECOND: True}


LEFT = {
    "pre-connect": "nothing was built or deployed",
    "pre-build": "nothing was built or deployed",
    "post-build": "the images are built; nothing was deployed",
    "docker-setup": "Docker runs on the hosts of guestbook-1, guestbook-2; the next deploy runs the hook again; "
    "no stack was changed",
    "pre-deploy": "images are built and hosts are prepared; no stack was changed",
}


@pytest.mark.usefixtures("with_hooks")
@pytest.mark.parametrize("name", LEFT)
def test_a_hook_that_fails_before_the_release_leaves_every_stack_as_it_is(name: str, project: Project) -> None:
    run = RecordedRun.of(project, prepared(project, CASES["first_deploy"]), {FIRST: BARE, SECOND: BARE})
    run.machine.failing_hook = name
    with pytest.raises(DevError) as failed:
        deploy(run, DeployOptions())
    run.close()
    assert failed.value.message == f"hook `{name}` exited with code 1\nnot today"
    assert failed.value.left_behind == LEFT[name]
    reached = [line for host in run.hosts.values() for line in host.transcript]
    assert not [line for line in reached if "apply" in line or "workspace" in line]
    if name in ("pre-connect", "pre-build"):
        assert not [line for line in reached if name == "pre-connect" or "$ facts" not in line]
        assert not any(host.early_logins for host in run.hosts.values())
        assert not [line for line in run.machine.transcript if "buildx build" in line]


@pytest.mark.usefixtures("with_hooks")
def test_a_hook_that_fails_after_the_deploy_is_said_beside_what_was_deployed(project: Project) -> None:
    run = RecordedRun.of(project, prepared(project, CASES["new_version"]), {FIRST: UP, SECOND: UP})
    run.machine.failing_hook = "post-deploy"
    report = deploy(run, DeployOptions())
    run.close()
    assert [outcome.state for outcome in report.outcomes] == ["deployed", "deployed"]
    error = report.error()
    assert error is not None
    assert (error.message, error.exit_code) == ("hook `post-deploy` exited with code 1\nnot today", 1)
    assert report.result().ok is False


@pytest.mark.usefixtures("with_hooks")
def test_hooks_that_are_skipped_or_have_nothing_to_do_are_no_part_of_a_deploy(project: Project) -> None:
    run, _ = recorded(project, replace(CASES["new_version"], order=DeployOptions(skip_hooks=True)))
    assert not [line for line in run.machine.transcript if FOLDER in line]
    run, _ = recorded(project, CASES["a_service_that_crashes"])
    ran = [line.rpartition("/")[2] for line in run.machine.transcript if FOLDER in line]
    assert ran == ["pre-connect", "pre-build", "post-build", "pre-deploy"]


@pytest.mark.usefixtures("with_hooks")
@pytest.mark.parametrize(
    ("name", "state", "version"),
    [("all_go_back", "rolled back", EARLIER), ("all_stop", "stopped", None)],
)
def test_where_all_go_back_each_says_what_runs_and_one_hook_runs(
    name: str, state: str, version: str | None, project: Project
) -> None:
    run, end = recorded(project, CASES[name])
    assert f"✗ {state}" in end
    (step,) = [step for step in run.machine.steps if step.label.endswith("post-rollback")]
    told = dict(step.environment)
    assert (told["DEV_STACKS"], told["DEV_RESULT"], told.get("KAMAL_VERSION")) == (FIRST, "rolled back", version)
    assert not [step for step in run.machine.steps if step.label.endswith("post-deploy")]


def test_where_a_host_is_lost_before_and_all_would_go_back_nothing_is_begun(project: Project) -> None:
    lost = HostState({**SOWN, "cpus": 1, "lock": {"pid": 1, "word": "apply", "since": "now", "state": "stale"}})
    run, end = recorded(project, Case(UP, lost, rollback="all"))
    assert "guestbook-1  10.0.0.1  ✗ skipped" in end
    assert not [line for line in run.hosts[FIRST].transcript if "apply" in line]


def test_with_a_batch_nothing_is_begun_on_the_others_where_the_first_fail(project: Project) -> None:
    run, _ = recorded(project, CASES["a_first_batch_that_fails"])
    said = [sentence(event) for event in run.events if event.status in ("info", "warning")]
    assert "First batch: guestbook-1; then 1 more" in said
    assert "guestbook-2: skipped: 1 of 1 failed in the first batch" in said


def test_a_dry_run_shows_what_a_first_deploy_would_run_and_runs_nothing(root: Path) -> None:
    settings = SETTINGS.replace("{type: static, hosts: [root@10.0.0.1, root@10.0.0.2]}", "{type: docker}")
    (root / "config/dev.yml").write_text(settings)
    try:
        project, machine = load(root, ENVIRONMENT), Machine()
        found = dry_run([(Run(project, machine, Output(lambda event: None)), DeployOptions())])
    finally:
        (root / "config/dev.yml").write_text(SETTINGS)
    compare("dry_run", normal(str(found), project) + "\n")
    verbs = {step.argv[1] for step in machine.steps}
    assert verbs <= {"version", "image", "buildx", "ps", "info"}
    assert not [step for step in machine.steps if step.argv[1:3] == ("buildx", "build")]


class MachineOfItsHosts(Machine):
    """The same, with an engine that says what the machine has."""

    def answer(self, step: Step) -> Result:
        """Answer one step."""
        return Result(step, 0, f"2 2 {4 << 30} /") if step.argv[1] == "info" else super().answer(step)


@pytest.mark.parametrize("show", [plan, dry_run])
def test_hosts_for_which_this_machine_is_too_small_are_not_planned(
    show: Callable[[Any], object], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kamal_dev.providers.machine.LEAST_MEMORY", 1 << 59)
    settings = SETTINGS.replace("{type: static, hosts: [root@10.0.0.1, root@10.0.0.2]}", "{type: docker}")
    (root / "config/dev.yml").write_text(settings)
    try:
        run = Run(load(root, ENVIRONMENT), MachineOfItsHosts(), Output(lambda event: None))
        with pytest.raises(ProviderError, match=r"of memory left, and 2 hosts need"):
            show([(run, DeployOptions())])
    finally:
        (root / "config/dev.yml").write_text(SETTINGS)


def compare(name: str, text: str) -> None:
    """Compare a transcript with its file, or write the file."""
    path = HERE / f"{name}.txt"
    if os.environ.get("UPDATE_TRANSCRIPTS"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", CASES)
def test_no_secret_stands_in_a_command_or_in_what_is_said(name: str, project: Project) -> None:
    run, end = recorded(project, CASES[name])
    steps = [step for recorder in run.recorders for step in recorder.steps]
    words = [word for step in steps for word in (*step.argv, step.text, repr(step))]
    told = [end, *words, *(sentence(event) for event in run.events)]
    assert [text for text in told for secret in SECRETS.values() if secret in text] == []


def test_the_secrets_travel_on_stdin_and_in_the_environment_of_the_build(project: Project) -> None:
    run, _ = recorded(project, CASES["first_deploy"])
    login = next(step for step in run.machine.steps if step.argv[1] == "login")
    assert login.stdin == SECRETS["REGISTRY_TOKEN"].encode()
    build = next(step for step in run.machine.steps if step.argv[1:3] == ("buildx", "build"))
    assert dict(build.environment)["BUILD_TOKEN"] == Secret(SECRETS["BUILD_TOKEN"])


EXECS: dict[str, tuple[HostState, int]] = {
    "a bare host": (BARE, 5),
    "a host with Docker": (HostState(has_database=False), 4),
    "a host without the watcher": (HostState({"watcher": "missing"}, has_database=False), 4),
    "a new version": (UP, 3),
    "nothing changed": (SAME, 1),
}


@pytest.mark.parametrize(("state", "most"), EXECS.values(), ids=EXECS)
@pytest.mark.parametrize("is_built", [True, False])
def test_a_deploy_takes_few_execs_on_a_host(
    project: Project, tmp_path: Path, state: HostState, most: int, is_built: bool
) -> None:
    """Also where only the pull tells how the main service's image wants to be run."""
    if not is_built:
        shutil.copytree(project.root, tmp_path / "guestbook")
        compose = tmp_path / "guestbook/.devcontainer/compose.yaml"
        compose.write_text(
            re.sub(r"    build:\n(      .*\n)+", "    image: postgres:15\n", compose.read_text(), count=1)
        )
        project = load(tmp_path / "guestbook", ENVIRONMENT)
    run, end = recorded(project, Case(state, state))
    assert "✓" in end
    assert len(run.hosts[FIRST].transcript) <= most


def test_every_transcript_belongs_to_a_case() -> None:
    assert {path.stem for path in HERE.glob("*.txt")} == {*CASES, "dry_run", "hooks"}
