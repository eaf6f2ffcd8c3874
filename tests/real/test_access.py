"""One gets into a workspace: a shell, commands, its ports, its address. One stack on one host that `dev` makes."""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import select
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.real import lab as labs
from tests.real.lab import DEV, LISTENING, Ended, Host, Lab, Repository, is_listening, wait_for

SECRET = f"rs-{secrets.token_hex(12)}"
# serve.pl ADDRESS PORT TEXT: answers each request with TEXT; with TEXT `count`, how many bytes came before the end.
SERVE = r"""
use strict; use Socket;
my ($address, $port, $text) = @ARGV;
$SIG{TERM} = sub { exit }; $SIG{CHLD} = 'IGNORE';
socket my $door, PF_INET, SOCK_STREAM, 0 or die;
setsockopt $door, SOL_SOCKET, SO_REUSEADDR, 1;
bind $door, sockaddr_in($port, inet_aton($address)) or die $!;
listen $door, 50;
while (1) {
  accept my $client, $door or next;
  next if fork;
  my ($seen, $size) = ('', 0);
  while (sysread $client, my $data, 65536) {
    $size += length $data;
    $seen = substr $seen . $data, -4;
    last if $text ne 'count' && $seen eq "\r\n\r\n";
  }
  my $body = $text eq 'count' ? "$size\n" : "HTTP/1.0 200 OK\r\nContent-Length: " . length($text) . "\r\n\r\n$text";
  syswrite $client, $body;
  exit;
}
"""
DOCKERFILE = """\
FROM debian:12
LABEL devcontainer.metadata='[{"remoteEnv": {"OF_IMAGE": "said"}, "forwardPorts": [3005]}]'
RUN useradd --create-home --uid 1500 --shell /bin/bash worker && mkdir /srv/work && chown worker /srv/work
COPY serve.pl /serve.pl
WORKDIR /tmp
CMD ["perl", "/serve.pl", "127.0.0.1", "3000", "hello from app"]
"""
COMPOSE = """\
services:
  app:
    build: .
    stop_signal: SIGKILL
    environment: {GREETING: hello}
  db:
    image: debian:12
    stop_signal: SIGKILL
    volumes: [./serve.pl:/serve.pl:ro]
    user: nobody
    working_dir: /etc
    command: [perl, /serve.pl, 0.0.0.0, "5432", count]
"""
DEVCONTAINER: dict[str, Any] = {
    "dockerComposeFile": "compose.yaml",
    "service": "app",
    "remoteUser": "worker",
    "workspaceFolder": "/srv/work",
    "remoteEnv": {
        "TOKEN": "${localEnv:ACCESS_TOKEN}",
        "PATH": "${containerEnv:PATH}:/extra",
        "SPACED": "two words 'and' a \"quote\"",
        "GREETING": None,
    },
    "forwardPorts": [3000, "db:5432"],
    "portsAttributes": {"3000": {"label": "Web", "protocol": "http"}},
}


@dataclass(frozen=True)
class Workspace:
    repository: Repository
    host: Host

    @property
    def stack(self) -> str:
        return self.repository.stack()

    def ssh(self, *words: str, text: str = "") -> Ended:
        """Run `dev ssh` without a terminal."""
        ended = subprocess.run(
            (DEV, "ssh", *words),
            check=False,
            cwd=self.repository.root,
            env=self.repository.variables(),
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr, ("dev", "ssh", *words))

    def forwarders(self) -> str:
        """The containers on the host that pass connections on."""
        return self.host.run("docker ps --all --quiet --filter label=kamal-dev.forward=true")

    @contextmanager
    def forward(self, *words: str) -> Iterator[Forward]:
        """Run `dev forward` until the block ends; its ports are those that it told."""
        with subprocess.Popen(
            (sys.executable, "-c", LISTENING, DEV, "forward", "--json", *words),
            cwd=self.repository.root,
            env=self.repository.variables(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            forward = Forward(process)
            try:
                wait_for("the ports", lambda: forward.is_open or process.poll() is not None)
                assert forward.is_open, forward.said
                yield forward
            finally:
                forward.stop()


class Forward:
    """A `dev forward` that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.told = ""
        self.said = ""
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._tell, self._say)]
        for reader in self._readers:
            reader.start()

    def _tell(self) -> None:
        for line in self.process.stdout or ():
            self.told += line

    def _say(self) -> None:
        for line in self.process.stderr or ():
            self.said += line

    @property
    def is_open(self) -> bool:
        return self.told.rstrip().endswith("]")

    @property
    def ports(self) -> dict[str, int]:
        """The port here of each target."""
        return {f"{port['host']}:{port['number']}": port["local"] for port in json.loads(self.told)}

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        code = self.process.wait(20)
        for reader in self._readers:
            reader.join()
        return code


def fetch(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as answer:
        text: str = answer.read().decode()
    return text


def answers(port: int) -> bool:
    try:
        return fetch(port) == "hello from app"
    except OSError:
        return False


@pytest.fixture(scope="module")
def workspace(lab: Lab) -> Workspace:
    files = {
        ".devcontainer/devcontainer.json": json.dumps(DEVCONTAINER, indent=2),
        ".devcontainer/Dockerfile": DOCKERFILE,
        ".devcontainer/serve.pl": SERVE,
    }
    repository = lab.small("access", [], files, compose=COMPOSE, ACCESS_TOKEN=SECRET)
    repository.commit({"config/dev.yml": lab.made_hosts(repository)})
    repository.dev("deploy", "--yes", timeout=420)
    (host,) = lab.hosts(repository)
    return Workspace(repository, host)


# --- ssh


def test_a_command_runs_as_the_remote_user_in_the_workspace_with_its_environment(workspace: Workspace) -> None:
    shown = '"$TOKEN|$SPACED|${GREETING-gone}|${PATH##*:}|$OF_IMAGE"'
    ended = workspace.ssh(workspace.stack, "--", f"id -un; pwd; echo {shown}")
    assert ended.code == 0, str(ended)
    assert ended.stdout == f"worker\n/srv/work\n{SECRET}|two words 'and' a \"quote\"|gone|/extra|said\n"
    assert ended.stderr == ""
    assert workspace.host.run("find /root/.kamal-dev/.environment -type f") == ""


def test_words_arrive_as_they_were_given_and_the_name_can_be_left_out(workspace: Workspace) -> None:
    words = ("a b", "$HOME", "it's", 'quo"te', "*", "", "x;y", "--help", "line\nbreak")
    ended = workspace.ssh("--", "printf", "[%s]", *words)
    assert ended.stdout == "".join(f"[{word}]" for word in words), str(ended)
    assert workspace.ssh(workspace.stack, "printf", "[%s]", "-l", "a b").stdout == "[-l][a b]"


def test_a_command_ends_with_its_exit_code_and_keeps_its_streams_apart(workspace: Workspace) -> None:
    ended = workspace.ssh(workspace.stack, "--", "echo out; echo err >&2; exit 42")
    assert (ended.code, ended.stdout, ended.stderr) == (42, "out\n", "err\n")
    assert workspace.ssh("--", "no-such-program", "x").code == 127


def test_stdin_is_passed_on_byte_by_byte(workspace: Workspace) -> None:
    text = "one\ntwo \x01 ü\n" * 20000
    assert workspace.ssh("--", "cat", "-", text=text).stdout == text


def test_another_service_is_entered_as_it_is(workspace: Workspace) -> None:
    ended = workspace.ssh(workspace.stack, "--service", "db", "--", "id -un; pwd; echo ${TOKEN-none}")
    assert ended.stdout == "nobody\n/etc\nnone\n", str(ended)
    assert workspace.ssh("--service", "db", "--", "pwd", "-P").stdout == "/etc\n"


def test_a_shell_has_a_real_terminal(workspace: Workspace) -> None:
    controller, terminal = pty.openpty()
    try:
        process = subprocess.Popen(
            (DEV, "ssh", workspace.stack),
            cwd=workspace.repository.root,
            env=workspace.repository.variables(TERM="xterm-256color"),
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        seen = expect(controller, "$ ")
        os.write(controller, b"tty; echo $0 $TERM $(id -un) $(pwd); sleep 100\n")
        seen = expect(controller, "xterm-256color worker /srv/work")
        assert "/dev/pts/" in seen
        assert "/bin/bash" in seen
        time.sleep(0.5)
        os.write(controller, b"\x03")
        os.write(controller, b"exit 7\n")
        assert process.wait(20) == 7
    finally:
        os.close(controller)


def expect(controller: int, text: str) -> str:
    seen = ""
    deadline = time.monotonic() + 30
    while text not in seen.replace("echo $0 $TERM", ""):
        assert time.monotonic() < deadline, seen
        if select.select([controller], [], [], 1)[0]:
            seen += os.read(controller, 65536).decode(errors="replace")
    return seen


def test_no_process_ever_has_the_value_of_remote_env_in_its_words(workspace: Workspace) -> None:
    with subprocess.Popen(
        (DEV, "ssh", "--verbose", "--", "echo begun; sleep 2; echo $TOKEN | cut -c1-3"),
        cwd=workspace.repository.root,
        env=workspace.repository.variables(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        seen = ""
        while process.poll() is None:
            # The host is a container of this machine, so that its processes are seen as well.
            seen += "".join(read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
        output, errors = process.communicate()
    assert output == "begun\nrs-\n"
    assert "sleep 2" in seen
    assert SECRET not in seen
    assert SECRET not in errors


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").replace("\0", " ")
    except OSError:
        return ""


def test_what_is_mistyped_is_refused_with_a_suggestion(workspace: Workspace) -> None:
    ended = workspace.ssh(f"{workspace.stack}1", "ls")
    assert ended.code == 2
    assert f"did you mean `{workspace.stack}`?" in ended.stderr
    ended = workspace.ssh(workspace.stack, "--service", "dbb", "ls")
    assert ended.code == 2
    assert "did you mean `db`?" in ended.stderr


# --- forward


def test_a_server_on_the_loopback_of_the_container_is_reached_and_one_of_another_service(workspace: Workspace) -> None:
    with workspace.forward() as forward:
        ports = forward.ports
        assert set(ports) == {"localhost:3000", "db:5432", "localhost:3005"}
        (web,) = (port for port in json.loads(forward.told) if port["number"] == 3000)
        assert web["label"] == "Web"
        assert web["address"] == f"http://127.0.0.1:{ports['localhost:3000']}"
        assert [fetch(ports["localhost:3000"]) for _ in range(20)] == ["hello from app"] * 20
        assert count(ports["db:5432"], 5_000_000) == "5000000\n"
        assert not listens_elsewhere(ports["localhost:3000"])
        assert forward.stop() == 130
        assert "Traceback" not in forward.said
    assert not is_listening(ports["localhost:3000"])
    wait_for("the host to be as before", lambda: workspace.forwarders() == "")
    assert workspace.host.run("ls /tmp | grep kamal-dev || true") == ""


def test_a_person_sees_where_each_port_is(workspace: Workspace) -> None:
    with workspace.repository.start("forward", workspace.stack) as process:
        process.read_until("Open until Ctrl-C")
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
        assert process.wait(20) == 130
    assert "Closed" in rest
    assert "Interrupted" not in rest


def count(port: int, size: int) -> str:
    """Send bytes, end our direction, and return what the other side says then."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"x" * size)
        connection.shutdown(socket.SHUT_WR)
        return connection.makefile().read()


def listens_elsewhere(port: int) -> bool:
    """Whether a port is open on any address but 127.0.0.1."""
    local = f"{port:04X}"
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{local}")]
    assert listening
    return listening != [f"0100007F:{local}"]


def test_a_taken_port_gives_way_to_the_next_free_one_unless_a_flag_named_it(workspace: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        number = taken.getsockname()[1]
        refused = workspace.repository.dev("forward", "--port", f"{number}:3000", code=2)
        assert f"port {number} is in use" in refused.stderr
    with workspace.forward() as first, workspace.forward() as second:
        assert first.ports["localhost:3000"] != second.ports["localhost:3000"]
        assert f"is at {second.ports['localhost:3000']}" in second.said
        assert fetch(second.ports["localhost:3000"]) == "hello from app"
    with workspace.forward("--port", f"{number}:3000") as forward:
        assert forward.ports["localhost:3000"] == number
        assert fetch(number) == "hello from app"


def test_nobody_listening_is_told_and_ends_nothing(workspace: Workspace) -> None:
    with workspace.forward("--port", "3999") as forward:
        assert count(forward.ports["localhost:3999"], 1) == ""
        wait_for("the message", lambda: "no answer from localhost:3999" in forward.said)
        assert fetch(forward.ports["localhost:3000"]) == "hello from app"


def test_ports_are_open_again_after_a_lost_link_and_after_a_new_container(workspace: Workspace) -> None:
    with workspace.forward() as forward:
        port = forward.ports["localhost:3000"]
        assert answers(port)
        workspace.host.run("pkill -f '[s]shd: root@notty'")
        wait_for("the link to be open again", lambda: answers(port), 60)
        workspace.host.run(f"cd ~/.kamal-dev/{workspace.stack}/current && docker compose up -d --force-recreate app")
        wait_for("the new container to be reached", lambda: answers(port), 60)
        assert "reconnecting" in forward.said


def test_nothing_goes_on_where_the_process_is_killed(workspace: Workspace) -> None:
    with workspace.forward() as forward:
        port = forward.ports["localhost:3000"]
        with socket.create_connection(("127.0.0.1", port), timeout=20):
            forward.process.kill()
            wait_for("the port to be closed", lambda: not is_listening(port))
            wait_for("the host to be as before", lambda: workspace.forwarders() == "")


# What passes connections on is the host's, and not to be found in the image.
WITHOUT_PERL = DOCKERFILE.replace("WORKDIR", "RUN mv /usr/bin/perl /server\nWORKDIR").replace('"perl"', '"/server"')
# Who logs in on the host, and how they may use Docker there.
LOGIN = """
useradd --create-home --shell /bin/sh {user} && cp -r /root/.ssh /home/{user}/ && chown -R {user} /home/{user}/.ssh
"""
SUDO = "echo '{user} ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/{user}"
GROUP = "usermod --append --groups docker {user}"


@pytest.mark.parametrize(
    ("mode", "user", "right"), [("service:db", "mighty", SUDO), ("host", "member", GROUP)], ids=["service", "host"]
)
def test_networks_of_every_kind_are_entered_by_whoever_may_use_docker(
    lab: Lab, workspace: Workspace, mode: str, user: str, right: str
) -> None:
    workspace.host.run(LOGIN.format(user=user) + right.format(user=user))
    compose = COMPOSE.replace("    build: .\n", f"    build: .\n    network_mode: {mode}\n")
    number = 3100 if mode == "host" else 3000
    files = {
        ".devcontainer/devcontainer.json": json.dumps({**DEVCONTAINER, "forwardPorts": [number]}),
        ".devcontainer/Dockerfile": WITHOUT_PERL.replace("3000", str(number)),
        ".devcontainer/serve.pl": SERVE,
    }
    repository = lab.small(f"net-{user}", [workspace.host], files, compose=compose, ACCESS_TOKEN=SECRET)
    settings = (repository.root / "config/dev.yml").read_text()
    repository.commit({"config/dev.yml": settings.replace("root@", f"{user}@")})
    repository.dev("deploy", timeout=420)
    there = Workspace(repository, workspace.host)
    assert there.ssh("--", "id -un; echo $TOKEN").stdout == f"worker\n{SECRET}\n"
    with there.forward() as forward:
        assert fetch(forward.ports[f"localhost:{number}"]) == "hello from app"
    repository.dev("remove", "--yes")


# --- open


def test_the_address_names_the_container_and_a_host_that_ssh_can_find(workspace: Workspace, tmp_path: Path) -> None:
    ended = workspace.repository.dev("open", workspace.stack, "--print")
    found = re.fullmatch(r"vscode-remote://attached-container\+([0-9a-f]+)/srv/work\n", ended.stdout)
    assert found, str(ended)
    said = json.loads(bytes.fromhex(found[1]))
    host = said["settings"]["host"].removeprefix("ssh://")
    config = workspace.repository.root / ".kamal/local/ssh_config"
    assert f"Include {config}" in ended.stderr
    argv = ("ssh", "-F", str(config), "-o", "BatchMode=yes", host, "docker", "inspect", "-f", "{{.Name}}")
    assert labs.run(*argv, said["containerName"][1:]).strip() == said["containerName"]


def test_an_editor_is_started_at_the_address_once_ssh_knows_the_host(workspace: Workspace, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{shlex.quote(str(tmp_path))}/opened\n')
    editor.chmod(0o755)
    refused = workspace.repository.dev("open", "--editor", str(editor), code=1)
    assert "top of ~/.ssh/config" in refused.stderr
    assert not (tmp_path / "opened").exists()
    # ssh takes the home from the user database, so that a stand-in answers as it would with the line included.
    config = workspace.repository.root / ".kamal/local/ssh_config"
    ssh = tmp_path / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {shlex.quote(str(config))} "$@"\n')
    ssh.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = workspace.repository.dev("open", "--editor", str(editor), PATH=path)
    assert (tmp_path / "opened").read_text().splitlines() == ["--folder-uri", ended.stdout.strip()]


# --- last, because they stop the stack


def test_a_stack_that_does_not_run_says_what_to_do(workspace: Workspace) -> None:
    container = workspace.host.containers(workspace.stack)["app"]["Id"]
    workspace.host.run(f"docker stop --time 1 {container}")
    for words in (("ssh", "--", "true"), ("forward",), ("open", "--print")):
        ended = workspace.repository.dev(*words, code=1)
        assert "is not up: it exited" in ended.stderr
        assert f"`dev deploy {workspace.stack}` brings it up" in ended.stderr
