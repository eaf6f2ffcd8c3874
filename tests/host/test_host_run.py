"""Runs apart from the channel: a lost link, the same step twice, a killed worker."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from kamal_dev.commands import answers, events, host
from kamal_dev.model import Secret, Step
from tests.host.lab import Lab, release, service, token
from tests.hosts import docker

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def ssh(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The words that log in to the host as root."""
    key = tmp_path_factory.mktemp("ssh") / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    lab.sh(f"mkdir -p -m 700 ~/.ssh; echo '{key.with_suffix('.pub').read_text()}' >>~/.ssh/authorized_keys")
    port = docker("port", lab.name, "22").splitlines()[0].rpartition(":")[2]
    options = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={os.devnull}", "LogLevel=ERROR", "BatchMode=yes")
    flags = [word for option in options for word in ("-o", option)]
    return ["ssh", "-F", os.devnull, *flags, "-i", str(key), "-p", port, "root@127.0.0.1"]


# Too short to be a keep-alive, so that the whole window passes.
WATCHED = '["/bin/busybox", "sleep", "600"]'


@contextmanager
def begun(ssh: list[str], step: Step) -> Iterator[subprocess.Popen[bytes]]:
    """Start the step through ssh; at the latest at the end the link is lost."""
    command = [*ssh, shlex.join(step.argv)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        process.stdin.write(step.stdin or b"")
        process.stdin.close()
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[bytes], word: bytes) -> str:
    """Read whole lines, as somebody who loses the link has seen them."""
    assert process.stdout
    lines = []
    for line in process.stdout:
        lines.append(line.decode())
        if word in line:
            break
    return "".join(lines)


def test_a_run_survives_its_channel_and_is_picked_up_where_it_was_lost(
    lab: Lab, scripts: Mapping[str, str], stack: str, ssh: list[str]
) -> None:
    wanted, name = release(stack, "v1", app=service(WATCHED)), token()
    with begun(ssh, host.apply(scripts, name, wanted, window=4)) as process:
        seen = read_until(process, b'"name":"observe"')
    answer = lab.run(host.attach(scripts, name, answers.count(seen)))
    outcome = answers.outcome(seen + answer.output)
    assert (answer.code, outcome.state) == (0, "new"), answer
    assert [phase.name for phase in outcome.phases] == ["upload", "pull", "up", "observe"]
    assert outcome.observed_ms > 1000
    assert seen + answer.output == lab.sh(f"cat ~/.kamal-dev/.run/{name}/log") + "\n"


def test_a_run_survives_a_reboot_of_sshd_and_the_death_of_everything_in_the_channel(
    lab: Lab, scripts: Mapping[str, str], stack: str, ssh: list[str]
) -> None:
    name = token()
    with begun(ssh, host.apply(scripts, name, release(stack, "v1", app=service()), window=3)) as process:
        read_until(process, b'"name":"observe"')
        lab.sh("systemctl restart ssh; pkill -9 -x tail; pkill -9 -f '[s]shd: root' || true")
        process.wait(timeout=20)
    assert lab.run(host.attach(scripts, name)).outcome.state == "new"


def test_the_same_step_sent_again_follows_the_run_that_is_there(
    lab: Lab, scripts: Mapping[str, str], stack: str
) -> None:
    step = host.apply(scripts, token(), release(stack, "v1", app=service()), window=0)
    first, second = lab.run(step), lab.run(step)
    assert first.output == second.output
    assert lab.sh(f"wc -l <~/.kamal-dev/{stack}/audit.log") == "1"


def test_a_failed_run_keeps_its_exit_code(lab: Lab, scripts: Mapping[str, str]) -> None:
    name = token()
    assert lab.run(host.pull(scripts, name, ("localhost:5999/gone:1",))).code == 1
    answer = lab.run(host.attach(scripts, name))
    assert (answer.code, answer.outcome.ok, answer.outcome.phase) == (1, False, "pull")


def test_an_unknown_token_is_an_answer_not_a_guess(lab: Lab, scripts: Mapping[str, str]) -> None:
    answer = lab.run(host.attach(scripts, "never-was"))
    assert (answer.code, answer.outcome.state, answer.outcome.phase) == (1, "unknown", "attach")
    assert answer.outcome.reason == "run not found on this host"


def test_a_killed_worker_is_reported_and_blocks_nobody(
    lab: Lab, scripts: Mapping[str, str], stack: str, ssh: list[str]
) -> None:
    wanted, name = release(stack, "v1", app=service(WATCHED)), token()
    with begun(ssh, host.apply(scripts, name, wanted, window=20)) as process:
        read_until(process, b'"name":"observe"')
        lab.sh(f"pkill -9 -f '[.]run/{name}'")
        process.wait(timeout=20)
    outcome = lab.run(host.attach(scripts, name)).outcome
    assert (outcome.ok, outcome.state, outcome.phase) == (False, "unknown", "attach")
    assert "the script on the host was killed" in outcome.reason
    assert lab.run(host.apply(scripts, token(), wanted, window=0)).outcome.state == "new"
    assert lab.sh(f"ls -d ~/.kamal-dev/.run/{name}/payload", check=False) == ""


def test_a_silent_run_shows_that_it_is_alive(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    slow = service(healthcheck='{test: ["CMD", "/bin/busybox", "false"], interval: 1s, start_period: 600s}')
    answer = lab.run(host.apply(scripts, token(), release(stack, "v1", app=slow), timeout=13))
    assert events.Heartbeat() in [answers.event(line) for line in answer.output.splitlines()]


def test_a_finished_run_leaves_no_payload_and_no_password(lab: Lab, scripts: Mapping[str, str], stack: str) -> None:
    login = host.Login("localhost:5999", "robot", Secret("pa55-w0rd-$tr4nge"))
    wanted = release(stack, "v1", app=service())
    for step in (
        host.apply(scripts, token(), wanted, login=login),
        host.pull(scripts, token(), ("localhost:5999/x:1",), login),
    ):
        answer = lab.run(step)
        assert "w0rd" not in answer.output + answer.errors
    assert lab.sh("grep -rlF w0rd /root /home /tmp /var/tmp /var/log", check=False) == ""
    assert lab.sh("find /root/.kamal-dev/.run -name payload; find /tmp -name 'kamal-dev.*'") == ""
