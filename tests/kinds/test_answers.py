"""No answer is not "nothing there".

Whatever is asked of a host, an engine or a registry has three answers: present, absent, and unknown with the
reason. What is not known is never told as absent, never told as done, and never ends with 0. What start-up files,
banners and wrappers of a host print costs nothing: our own output stands in a frame. Where something else answers
than the command that was sent, the error quotes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kamal_dev.commands import answers
from kamal_dev.commands import host as steps
from kamal_dev.errors import NoAnswer
from kamal_dev.model import Step
from tests.hosts import scripts
from tests.kinds import host as hosts
from tests.kinds.host import SHELLS, AnswersHost
from tests.real.lab import Ended, Lab, Repository

pytestmark = pytest.mark.real

# Every verb that asks a host, and changes nothing where it gets an answer.
ASKING = (
    ("status",),
    ("list",),
    ("lock", "status"),
    ("versions",),
    ("doctor",),
    ("audit",),
    ("prune", "--dry-run"),
    ("ssh", "--", "true"),
    ("forward", "--port", "8000"),
    ("pull",),
    ("sync",),
    ("deploy", "--skip-build"),
    ("remove", "--yes"),
)
COMPOSE = """\
services:
  app:
    build: .
    volumes: [..:/work]
"""
QUICK = "registry: {{server: {server}}}\nservice: {service}\ndeploy: {{window: 1, timeout: 60}}\n"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnswersHost]:
    made = hosts.made(tmp_path_factory.mktemp("host"))
    yield made
    hosts.removed(made.container)


def repository(lab: Lab, host: AnswersHost, name: str, *users: str) -> Repository:
    """Make a small repository whose stacks are on this host, each by the login of another user."""
    made = lab.small(name, [], compose=COMPOSE)
    settings = QUICK.format(server=lab.registry, service=made.service) + host.settings(*(users or (name,)))
    made.commit({"config/dev.yml": settings})
    return made


def states(ended: Ended) -> set[str]:
    """Return the states that a `--json` answer has."""
    return {item["state"] for item in json.loads(ended.stdout)}


@pytest.fixture
def stopped(host: AnswersHost) -> Iterator[AnswersHost]:
    """Stop the engine of the host for a while."""
    host.sh("systemctl stop docker.socket docker")
    yield host
    host.sh("systemctl start docker.socket docker; until docker version >/dev/null 2>&1; do sleep 0.2; done")


# --- what else answers


@pytest.mark.parametrize("user", [*SHELLS, "chatty", "wrapped"])
def test_a_command_runs_whatever_the_login_shell_is_and_prints(host: AnswersHost, user: str) -> None:
    remote = host.remote(user)
    words = (
        "sh",
        "-c",
        "cat; printf '%s\\n' \"$@\"; echo gone >&2; exit 7",
        "x",
        "it's",
        "a!b $HOME `id` \\n",
        "two\nlines",
    )
    result = remote.run(Step(words, b"stdin "), timeout=20)
    remote.close()
    assert (result.exit_code, result.output) == (7, "stdin it's\na!b $HOME `id` \\n\ntwo\nlines")
    assert result.errors == "gone"


def test_both_streams_in_one_place_lose_no_line_and_show_no_mark(host: AnswersHost) -> None:
    remote = host.remote("merged")
    output = remote.run(Step(("sh", "-c", "echo first; echo second >&2; echo third")), timeout=20).output
    remote.close()
    assert output == "first\nsecond\nthird"


@pytest.mark.parametrize("user", ["merged", "setting"])
def test_a_script_answers_whatever_a_start_up_file_sets_or_sends_elsewhere(host: AnswersHost, user: str) -> None:
    remote = host.remote(user)
    output = remote.run(steps.status(scripts(), ["nobody-1"]), timeout=20).output
    remote.close()
    assert answers.outcome(output), output
    assert [stack.state for stack in answers.stacks(output)] == ["absent"]


def test_a_start_up_file_that_reads_what_was_sent_is_suspected(host: AnswersHost) -> None:
    remote = host.remote("reading")
    outcome = answers.outcome(remote.run(steps.status(scripts(), ["nobody-1"]), timeout=20).output)
    remote.close()
    assert not outcome and "does a start-up file such as ~/.bashrc read the input?" in outcome.reason


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("exits", "printed nothing and exited 0"),
        ("nologin", "`This account is currently not available.`"),
        ("forced", "`maintenance`"),
    ],
)
def test_what_answers_in_place_of_the_command_is_quoted(host: AnswersHost, user: str, said: str) -> None:
    remote = host.remote(user)
    with pytest.raises(NoAnswer, match="the host did not run the command") as refused:
        remote.run(Step(("true",)), timeout=20)
    remote.close()
    assert said in refused.value.message
    assert "ForceCommand" in refused.value.hint


def test_a_home_folder_that_is_read_only_is_named_before_a_build(lab: Lab, host: AnswersHost) -> None:
    made = repository(lab, host, "sealed", "plain")
    made.deploy()
    host.sh("cd /home/plain && mount --bind . . && mount -o remount,bind,ro /home/plain")
    try:
        for words in (("deploy",), ("doctor",), ("sync",), ("remove", "--yes")):
            made.commit()
            ended = made.dev(*words, code=1)
            assert "read-only" in ended.text and "full" not in ended.text, str(ended)
            assert "Pushed" not in ended.text, str(ended)
    finally:
        host.sh("umount -l /home/plain")
    made.dev("remove", "--yes")


def test_every_verb_says_so_and_ends_with_1(lab: Lab, host: AnswersHost) -> None:
    made = repository(lab, host, "forced")
    for words in ASKING:
        ended = made.dev(*words, code=1)
        assert "maintenance" in ended.text, str(ended)
    assert states(made.dev("status", "--json", code=1)) == {"unknown"}
    assert states(made.dev("list", "--json", code=1)) == {"unknown"}
    assert states(made.dev("lock", "status", "--json", code=1)) == {"unknown"}


def test_a_host_that_prints_is_deployed_to_asked_and_pulled_from_as_any_other(lab: Lab, host: AnswersHost) -> None:
    made = repository(lab, host, "chatty")
    made.deploy()
    assert states(made.dev("status", "--json")) == {"up"}
    assert "up" in made.dev("list").stdout
    host.sh(f"docker exec {made.stack()}-app-1 sh -c 'echo new >/work/new'")
    pulled = made.dev("pull")
    assert f"kamal-dev/{made.stack()}" in pulled.text
    assert made.dev("ssh", "--", "cat", "/message").stdout.endswith("chatty\n")
    made.dev("remove", "--yes")
    assert states(made.dev("status", "--json")) == {"absent"}


# --- engines


@pytest.fixture(scope="module")
def deployed(lab: Lab, host: AnswersHost) -> Repository:
    """Deploy a stack with a login that may use Docker and has no sudo; its container works as another user."""
    made = lab.small("answers", [], compose=COMPOSE + '    user: "4321:4321"\n')
    settings = QUICK.format(server=lab.registry, service=made.service) + host.settings("plain")
    made.commit({"config/dev.yml": settings})
    made.deploy()
    return made


LOOKING = (("status",), ("list",), ("lock", "status"), ("versions",), ("doctor",), ("prune", "--dry-run"))


def test_the_workspace_is_writable_for_another_user_without_sudo(deployed: Repository, host: AnswersHost) -> None:
    assert host.sh(f"docker exec {deployed.stack()}-app-1 sh -c 'echo mine >/work/mine && id -u'") == "4321"
    assert deployed.dev("sync", code=0)


def test_an_engine_that_is_down_is_unknown_in_every_verb(deployed: Repository, stopped: AnswersHost) -> None:
    for words in LOOKING:
        assert "Cannot connect to the Docker daemon" in deployed.dev(*words, code=1).text
    for words in (("status",), ("list",), ("lock", "status")):
        assert states(deployed.dev(*words, "--json", code=1)) == {"unknown"}
    removed = deployed.dev("remove", "--yes", code=1)
    assert "Cannot connect to the Docker daemon" in removed.text
    assert stopped.sh(f"ls -d /home/plain/.kamal-dev/{deployed.stack()}/current")


@pytest.mark.parametrize(
    ("user", "why"),
    [
        ("barred", "`barred` has no permission to use Docker on this host"),
        ("elsewhere", "at tcp://127.0.0.1:9 is not responding"),
    ],
)
def test_an_engine_that_this_login_does_not_reach_is_unknown(lab: Lab, host: AnswersHost, user: str, why: str) -> None:
    made = repository(lab, host, user)
    for words in (("status",), ("list",), ("lock", "status"), ("doctor",)):
        assert why in made.dev(*words, code=1).text
    refused = made.dev("deploy", code=1)
    assert why in refused.text
    assert "Installing Docker" not in refused.text


@pytest.mark.parametrize("user", ["context", "rootless"])
def test_an_engine_of_the_logins_own_is_used_and_none_is_installed(lab: Lab, host: AnswersHost, user: str) -> None:
    made = repository(lab, host, user)
    ended = made.deploy("--verbose")
    assert "bootstrap" not in ended.stderr
    assert states(made.dev("status", "--json")) == {"up"}
    assert made.dev("ssh", "--", "cat", "/message").stdout == f"{user}\n"
    made.dev("remove", "--yes")


def test_a_host_with_nothing_but_busybox_works(lab: Lab, host: AnswersHost) -> None:
    made = repository(lab, host, "busybox")
    assert made.deploy().stacks[made.stack()]["state"] == "deployed"
    host.sh(f"docker exec {made.stack()}-app-1 sh -c 'echo new >/work/new'")
    assert "kamal-dev/" in made.dev("pull").text
    assert made.deploy().stacks[made.stack()]["state"] == "unchanged"
    made.dev("remove", "--yes")


@pytest.mark.parametrize("user", ["busybox", "rootless"])
def test_data_is_saved_and_restored_without_root_and_with_busybox_alone(
    lab: Lab, host: AnswersHost, user: str, tmp_path: Path
) -> None:
    made = repository(lab, host, f"saved-{user}", user)
    compose = COMPOSE.replace("[..:/work]", "[..:/work, data:/data]") + "volumes: {data: }\n"
    made.commit({".devcontainer/compose.yaml": compose})
    made.deploy()
    stack, path = made.stack(), str(tmp_path / "backup.tar.zst")
    inside = f"docker exec {stack}-app-1 sh -c"
    host.sh(f"{inside} 'cd /data && mkdir sub && echo old >sub/file && ln -s /none link && ln sub/file hard'")
    host.sh(f"{inside} 'chown 12:34 /data/hard'")
    # The newest image runs the programs of the host as root: it may have none.
    host.sh("tar -cf - -T /dev/null | docker import - kamal-dev-test/empty >/dev/null")
    made.dev("backup", stack, "-o", path)
    host.sh(f"{inside} 'rm -r /data/*; echo new >/data/new'")
    made.dev("restore", stack, path, "--yes")
    shown = host.sh(f"{inside} 'cd /data && ls && cat hard && stat -c %u:%g:%h sub/file && readlink link'")
    assert shown.split() == ["hard", "link", "sub", "old", "12:34:2", "/none"]
    assert states(made.dev("status", "--json")) == {"up"}
    assert made.dev("status", "--openmetrics").stdout.endswith("# EOF\n")
    made.dev("remove", "--yes")


PLUGIN = """#!/bin/sh
case $1 in
  docker-cli-plugin-metadata) echo '{"SchemaVersion": "0.1.0", "Vendor": "x", "Version": "9.9.9"}' ;;
  *) echo 9.9.9 ;;
esac
"""


def test_an_upgraded_compose_is_noticed(host: AnswersHost) -> None:
    remote = host.remote("wrapped")

    def version() -> str:
        told = answers.facts(remote.run(steps.facts(scripts(), "x-1"), timeout=30).output)
        assert told
        return told.compose

    host.sh("su wrapped -c 'mkdir -p ~/.kamal-dev ~/.docker/cli-plugins'")
    assert version() == version() != "9.9.9"
    host.write("/home/wrapped/.docker/cli-plugins/docker-compose", PLUGIN)
    host.sh("chmod 755 /home/wrapped/.docker/cli-plugins/docker-compose")
    assert version() == "9.9.9"
    host.sh("rm /home/wrapped/.docker/cli-plugins/docker-compose")
    assert version() != "9.9.9"
    remote.close()


# --- what was done


def test_what_remove_could_not_remove_is_named(deployed: Repository, host: AnswersHost) -> None:
    host.sh("mount --bind /home/plain /home/plain && mount -o remount,ro,bind /home/plain")
    try:
        refused = deployed.dev("remove", "--yes", code=1)
    finally:
        host.sh("umount --lazy /home/plain")
    assert "could not be removed" in refused.text
    assert host.sh(f"ls -d /home/plain/.kamal-dev/{deployed.stack()}/current")
    deployed.dev("remove", "--yes")
    assert host.sh(f"ls /home/plain/.kamal-dev/{deployed.stack()}") == "audit.log"
