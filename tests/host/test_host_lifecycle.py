"""Lifecycle commands in real containers on a real host: what is run, as whom, where, with what, and how often."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.commands import answers, events, host
from kamal_dev.devcontainer import Devcontainer, lifecycle
from kamal_dev.model import File, Release
from tests.host.lab import Answer, Lab, is_running, release, token
from tests.hosts import docker

pytestmark = pytest.mark.real

IMAGE = "kamal-dev-test/person:1"
DOCKERFILE = rb"""FROM debian:12
ENV PATH=/opt/tools/bin:$PATH GREETING="from the image" EMPTY=""
RUN useradd --create-home --shell /bin/bash ann && mkdir -p /work /opt/tools/bin && chown ann /work && \
    echo "echo noise; printf 'more noise'; export FROM_BASHRC=\$'it\\\\'s\\\\ntwo lines'" >/home/ann/.bashrc && \
    echo 'echo loud; export FROM_PROFILE=profile' >/home/ann/.bash_profile && \
    useradd --create-home --shell /bin/bash slow && echo 'sleep 1000' >/home/slow/.bash_profile && \
    useradd --create-home --shell /usr/sbin/nologin none
STOPSIGNAL SIGKILL
CMD ["sleep", "infinity"]
"""
MAIN = f"    image: {IMAGE}\n    labels:\n      kamal-dev.main: 'true'\n"


@pytest.fixture(scope="module")
def person(lab: Lab, scripts: Mapping[str, str]) -> Lab:
    """A host with an image in which somebody works."""
    build = ("buildx", "build", "--builder", docker("context", "show"), "--load", "--provenance=false")
    docker(*build, "--tag", IMAGE, "-", stdin=DOCKERFILE)
    saved = subprocess.run(["docker", "image", "save", IMAGE], check=True, capture_output=True).stdout
    assert lab.run(host.load(scripts), stdin=saved).code == 0
    return lab


def devcontainer(**properties: Any) -> Devcontainer:
    commands = properties.pop("commands", {})
    values = {"user_env_probe": "none", "workspace_folder": "/work", "lifecycle": tuple(commands.items())}
    path = Path("/site/.devcontainer/devcontainer.json")
    return Devcontainer(path, path.parents[1], path.parents[1], "d", {}, "compose", {}, **{**values, **properties})


class Person:
    """Deploys one stack again and again, with the lifecycle commands of the moment."""

    def __init__(self, lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
        self.lab, self.scripts, self.stack = lab, scripts, stack

    def release(self, version: str = "v1", main: str = MAIN) -> Release:
        return release(self.stack, version, app=main, image=IMAGE, files=(File("version", version.encode()),))

    def deploy(
        self, found: Devcontainer, version: str = "v1", main: str = MAIN, timeout: int = 60, user: str = "root"
    ) -> Answer:
        step = host.apply(
            self.scripts,
            token(),
            self.release(version, main),
            timeout=60,
            window=1,
            user=found.remote_user,
            lifecycle=lifecycle.files(found, timeout),
        )
        return self.lab.run(step, user=user)

    def printed(self, **options: Any) -> list[str]:
        """Deploy and return what they printed."""
        answer = self.deploy(**options)
        assert answer.outcome.ok, answer
        return logs(answer)

    def inside(self, script: str) -> str:
        return self.lab.sh(f"docker exec {self.stack}-app-1 sh -c '{script}'")

    @property
    def is_same(self) -> bool:
        return is_running(self.lab.run(host.facts(self.scripts, self.stack)).facts, self.release())


@pytest.fixture
def ann(person: Lab, scripts: Mapping[str, str], stack: str) -> Person:
    return Person(person, scripts, stack)


def logs(answer: Answer) -> list[str]:
    told = (answers.event(line) for line in answer.output.splitlines())
    return [event.text for event in told if isinstance(event, events.Log)]


def phases(answer: Answer) -> list[str]:
    return [phase.name for phase in answer.outcome.phases]


def test_a_line_words_and_an_object_are_run_in_the_order_of_the_specification(ann: Person) -> None:
    commands = {
        "postStartCommand": {"a b": "sleep 1; echo line", "c": ["printf", "%s;", "two words", "$HOME"]},
        "postCreateCommand": ["echo", "it's", "$HOME", "${HOME}"],
        "updateContentCommand": 'echo $((1 + 1)) "it\'s"; exit 0; echo not',
        "onCreateCommand": "printf 'one\\ntwo\\n'",
        "postAttachCommand": "echo never",
    }
    answer = ann.deploy(devcontainer(commands=commands))
    assert answer.outcome.ok, answer
    assert logs(answer) == ["one", "two", "2 it's", "it's $HOME ${HOME}", "[c] two words;$HOME;", "[a b] line"]
    assert phases(answer)[-5:-1] == ["observe", "onCreateCommand", "updateContentCommand", "postCreateCommand"]
    assert ann.is_same
    assert ann.deploy(devcontainer(commands=commands)).outcome.state == "same"


def test_the_values_of_an_object_run_side_by_side(ann: Person) -> None:
    wait = "until [ -e /tmp/{} ]; do sleep 0.1; done; touch /tmp/{}"
    commands = {"onCreateCommand": {"one": "touch /tmp/a; " + wait.format("b", "x"), "two": wait.format("a", "b")}}
    assert ann.deploy(devcontainer(commands=commands), timeout=20).outcome.ok


def test_commands_are_run_as_the_remote_user_in_the_workspace_folder(ann: Person) -> None:
    commands = {"onCreateCommand": "id -un; pwd; echo $HOME; touch made; cat; echo end"}
    assert ann.printed(found=devcontainer(commands=commands, remote_user="ann")) == ["ann", "/work", "/home/ann", "end"]
    assert ann.inside("stat -c %U /work/made") == "ann"


def test_commands_are_run_as_the_container_is_where_no_user_is_named_and_at_home_without_a_folder(ann: Person) -> None:
    found = devcontainer(commands={"onCreateCommand": "id -un; pwd"}, workspace_folder="/not/there")
    assert ann.printed(found=found) == ["root", "/root"]


def test_remote_env_is_set_removed_and_taken_from_the_container(ann: Person) -> None:
    value = 'it\'s "$x" `y`\nsecond ☃'
    remote_env = (
        ("VALUE", value),
        ("GREETING", None),
        ("PATH", "${containerEnv:PATH}:/more"),
        ("OLD", "<${containerEnv:GREETING}>"),
        ("LACKS", "${containerEnv:NOT_SET:de' fault}${containerEnv:NOT_SET}${containerEnv:EMPTY:x}|${HOME}"),
        ("UID", "5"),
    )
    show = 'printf "%s\\n" "$VALUE" "${GREETING-gone}" "$PATH" "$OLD" "$LACKS" "${containerEnv:GREETING}"'
    found = devcontainer(commands={"onCreateCommand": show}, remote_env=remote_env, remote_user="ann")
    path = "/opt/tools/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/more"
    lines = [*value.splitlines(), "gone", path, "<from the image>", "de' fault|${HOME}", "from the image"]
    assert ann.printed(found=found) == lines


def test_values_of_remote_env_are_never_in_the_arguments_of_a_process_and_stay_in_the_release_alone(
    ann: Person,
) -> None:
    secret = "s3cret-" + hashlib.sha256(ann.stack.encode()).hexdigest()
    pattern = secret.replace("-", "[-]")  # does not find itself in the arguments of those who look
    waiting = "echo early; touch /tmp/up; until [ -e /tmp/seen ]; do sleep 0.1; done; printenv TOKEN | wc -c"
    found = devcontainer(commands={"onCreateCommand": waiting}, remote_env=(("TOKEN", secret),))
    told: list[str] = []
    deploying = threading.Thread(target=lambda: told.extend(ann.printed(found=found)))
    deploying.start()
    ann.lab.sh(f"until docker exec {ann.stack}-app-1 test -e /tmp/up 2>/dev/null; do sleep 0.2; done")
    # Looked at from the host, on which the processes of the container are seen as well.
    seen = ann.lab.sh(f"cat /proc/[0-9]*/cmdline | tr '\\0' '\\n' | grep -c '{pattern}'", check=False)
    early = ann.lab.sh("cat ~/.kamal-dev/.run/*/log | grep -c early")
    ann.inside("touch /tmp/seen")
    deploying.join()
    assert (seen, early) == ("0", "1")
    assert told == ["early", str(len(secret) + 1)]
    # A release that is put back needs them again; as its `.env`, they are for nobody else to read.
    kept = f"/root/.kamal-dev/{ann.stack}/releases/{ann.release().id}"
    assert ann.lab.sh(f"grep -rl '{pattern}' ~/.kamal-dev /tmp || true") == f"{kept}/.kamal-dev/exec/before"
    assert ann.lab.sh(f"stat -c %a {kept} {kept}/.kamal-dev/exec/before") == "700\n600"


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        ("none", ["-", "-"]),
        ("loginShell", ["-", "profile"]),
        ("interactiveShell", ["it's", "two lines", "-"]),
        ("loginInteractiveShell", ["-", "profile"]),
    ],
)
def test_the_users_shell_is_asked_for_its_environment(ann: Person, probe: str, expected: list[str]) -> None:
    show = 'printf "%s\\n" "${FROM_BASHRC--}" "${FROM_PROFILE--}"'
    found = devcontainer(commands={"onCreateCommand": show}, remote_user="ann", user_env_probe=probe)
    assert ann.printed(found=found) == expected


def test_a_login_shell_loses_no_folder_of_the_images_path(ann: Person) -> None:
    found = devcontainer(
        commands={"onCreateCommand": "echo $PATH"}, remote_user="ann", user_env_probe="loginInteractiveShell"
    )
    (path,) = ann.printed(found=found)
    assert path.startswith("/opt/tools/bin:/usr/local/bin:")
    assert "/sbin" not in path


def test_a_shell_that_never_answers_is_given_up_and_said(ann: Person) -> None:
    quick = {**ann.scripts, "exec.sh": ann.scripts["exec.sh"].replace("probe_within=15", "probe_within=2")}
    ann.scripts = quick
    found = devcontainer(
        commands={"onCreateCommand": "echo on"}, remote_user="slow", user_env_probe="loginInteractiveShell"
    )
    told = ann.printed(found=found)
    assert told[-1] == "on"
    assert told[0].startswith("could not read the environment of the user's shell")
    ann.lab.sh(f"! docker top {ann.stack}-app-1 | grep 'sleep 1000'")


def test_commands_are_run_once_in_a_container_and_again_in_a_new_one(ann: Person) -> None:
    commands = {name: f"echo {name}" for name in lifecycle.STAGES}
    found = devcontainer(commands=commands)
    assert ann.printed(found=found) == list(lifecycle.STAGES)
    assert ann.printed(found=found, version="v2") == []
    assert ann.printed(found=devcontainer(commands=dict.fromkeys(commands, "echo changed")), version="v3") == []
    started = ann.lab.sh(f"docker restart --time 0 {ann.stack}-app-1")
    assert started
    assert ann.printed(found=found, version="v3") == ["postStartCommand"]
    remade = MAIN + "    environment: {CHANGED: '1'}\n"
    assert ann.printed(found=found, version="v4", main=remade) == list(lifecycle.STAGES)
    assert len(ann.lab.sh(f"ls -d ~/.kamal-dev/{ann.stack}/lifecycle/*/").split()) == 1


def test_a_restarted_container_is_not_the_same_until_its_start_commands_have_run(ann: Person) -> None:
    found = devcontainer(commands={"postStartCommand": "echo started"})
    ann.printed(found=found)
    assert ann.is_same
    ann.lab.sh(f"docker restart --time 0 {ann.stack}-app-1")
    assert not ann.is_same
    assert ann.printed(found=found) == ["started"]
    assert ann.is_same


def test_a_command_that_is_new_is_run_in_the_container_that_is_there(ann: Person) -> None:
    first = devcontainer(commands={"onCreateCommand": "echo one"})
    ann.printed(found=first)
    both = devcontainer(commands={"onCreateCommand": "echo one", "postCreateCommand": "echo two"})
    assert ann.printed(found=both, version="v2") == ["two"]


def test_entries_of_the_label_come_first_and_none_twice(ann: Person) -> None:
    pairs = (
        ("postCreateCommand", "echo label"),
        ("onCreateCommand", "echo feature"),
        ("postCreateCommand", "echo own"),
    )
    assert ann.printed(found=devcontainer(lifecycle=pairs)) == ["feature", "label", "own"]


def test_a_failed_command_leaves_the_release_running_and_is_run_again(ann: Person) -> None:
    commands = {
        "onCreateCommand": "echo created",
        "postCreateCommand": {"fine": "echo fine", "bad": "echo boom >&2; test -e /tmp/mended || exit 7"},
        "postStartCommand": "echo started",
    }
    found = devcontainer(commands=commands)
    answer = ann.deploy(found)
    outcome = answer.outcome
    assert (answer.code, outcome.ok, outcome.state, outcome.phase) == (1, False, "unfinished", "postCreateCommand")
    assert outcome.current == outcome.release == ann.release().id
    (failed,) = outcome.lifecycle
    assert (failed.stage, failed.name, failed.exit_code) == ("postCreateCommand", "bad", 7)
    assert (failed.command, failed.log) == (commands["postCreateCommand"]["bad"], "boom")  # type: ignore[index]
    assert sorted(logs(answer)) == ["[bad] boom", "[fine] fine", "created"]
    assert [container.state for container in outcome.containers] == ["up"]
    facts = ann.lab.run(host.facts(ann.scripts, ann.stack)).facts
    assert (facts.intact, facts.release and facts.release.good) == (False, False)
    (told,) = answers.stacks(ann.lab.run(host.status(ann.scripts, (ann.stack,))).output)
    assert told.state == "unfinished"
    started = ann.lab.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {ann.stack}-app-1")
    ann.inside("touch /tmp/mended")
    assert sorted(ann.printed(found=found)) == ["[bad] boom", "[fine] fine", "started"]
    assert ann.lab.sh(f"docker inspect -f '{{{{.State.StartedAt}}}}' {ann.stack}-app-1") == started
    assert ann.is_same
    (told,) = answers.stacks(ann.lab.run(host.status(ann.scripts, (ann.stack,))).output)
    assert told.state == "up"


def test_a_program_that_is_not_there_fails_with_what_the_shell_says(ann: Person) -> None:
    outcome = ann.deploy(devcontainer(commands={"onCreateCommand": ["no-such-program", "x"]})).outcome
    (failed,) = outcome.lifecycle
    assert (failed.exit_code, failed.command) == (127, "no-such-program x")
    assert "no-such-program" in failed.log


def test_a_user_that_is_not_there_fails_with_what_docker_says(ann: Person) -> None:
    outcome = ann.deploy(devcontainer(commands={"onCreateCommand": "true"}, remote_user="nobody-here")).outcome
    (failed,) = outcome.lifecycle
    assert "nobody-here" in failed.log


def test_a_command_that_does_not_end_is_ended_at_the_deadline_with_its_children(ann: Person) -> None:
    found = devcontainer(commands={"onCreateCommand": "sleep 4711 & sleep 4712; echo never"})
    started = time.monotonic()
    outcome = ann.deploy(found, timeout=2).outcome
    assert time.monotonic() - started < 30
    (failed,) = outcome.lifecycle
    assert failed.reason == "timed out: lifecycle commands have 2 s in total"
    ann.lab.sh(f"! docker top {ann.stack}-app-1 | grep 'sleep 471'")


def test_a_command_may_leave_something_running(ann: Person) -> None:
    found = devcontainer(commands={"postStartCommand": "sleep 4713 & echo left"})
    started = time.monotonic()
    assert ann.printed(found=found) == ["left"]
    assert time.monotonic() - started < 30
    ann.lab.sh(f"docker top {ann.stack}-app-1 | grep 'sleep 4713'")


def test_what_a_command_prints_arrives_as_it_comes_and_without_what_it_draws_over(ann: Person) -> None:
    script = (
        'printf "10%%\\r20%%\\rdone\\n"; printf "\\033[31mred\\033[0m \\"q\\" \\\\ \\ttab\\n"; printf "%2000d\\n" 1'
    )
    red = 'red "q" \\ \ttab'
    told = ann.printed(found=devcontainer(commands={"onCreateCommand": script}))
    assert told[:2] == ["done", red]
    assert len(told[2]) == 1001


def test_a_user_of_the_host_who_is_not_root_runs_them_too(ann: Person) -> None:
    found = devcontainer(commands={"onCreateCommand": "id -un; sleep 4714"}, remote_user="ann")
    answer = ann.deploy(found, user="dev", timeout=4)
    assert logs(answer) == ["ann"]
    assert answer.outcome.lifecycle[0].reason.startswith("timed out: lifecycle commands have")
    ann.lab.sh(f"! docker top {ann.stack}-app-1 | grep 'sleep 4714'")


def test_what_runs_is_ended_with_the_script_that_started_it(ann: Person) -> None:
    told: list[Answer] = []
    found = devcontainer(commands={"onCreateCommand": "touch /tmp/up; sleep 4715"})
    deploying = threading.Thread(target=lambda: told.append(ann.deploy(found)))
    deploying.start()
    ann.lab.sh(f"until docker exec {ann.stack}-app-1 test -e /tmp/up 2>/dev/null; do sleep 0.2; done")
    ann.lab.sh(f"kill $(head -n 1 ~/.kamal-dev/{ann.stack}/lock/owner)")
    deploying.join()
    assert (told[0].outcome.ok, told[0].outcome.state) == (False, "unfinished"), told
    ann.lab.sh(f"! docker top {ann.stack}-app-1 | grep 'sleep 4715'")
    assert "lock" not in ann.lab.sh(f"ls ~/.kamal-dev/{ann.stack}").split()


def test_without_commands_nothing_of_them_is_kept(ann: Person) -> None:
    ann.printed(found=devcontainer(commands={"onCreateCommand": "echo one"}))
    assert ann.printed(found=devcontainer(), version="v2") == []
    assert "lifecycle" not in ann.lab.sh(f"ls ~/.kamal-dev/{ann.stack}").split()
