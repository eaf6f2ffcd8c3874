"""The logs of three stacks, read and followed while hosts, connections and containers come and go."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.real.lab import DEV, LISTENING, Host, Lab, Repository, docker, wait_for

# Each life of a container begins at 1 again, with a word of its own before it.
COUNT = """\
$| = 1; my $life = time . '-' . $$ . '-' . int rand 1e9;
while (1) { print "$life ", ++$i, "\\n"; select undef, undef, undef, 0.01 }
"""
COMPOSE = f"""\
services:
  app:
    build: .
    command: [perl, -e, {json.dumps(COUNT.replace("$", "$$"))}]
  job:
    image: debian:12
    command: [sh, -c, "echo first; sleep 0.3; echo second >&2; sleep 0.3; printf 'a\\\\000b\\\\033[31mred\\\\n'"]
  burst:
    image: debian:12
    command:
      - perl
      - -e
      - '$$| = 1; print "burst $$_ ", "x" x 60, "\\n" for 1 .. 100_000; print "y" x 40_000, "\\n"; sleep 1e6'
    stop_signal: SIGKILL
"""


@pytest.fixture(scope="module")
def repository(lab: Lab, hosts: tuple[Host, ...]) -> Repository:
    repository = lab.small("logs", hosts, compose=COMPOSE)
    repository.deploy("--skip-push", "--yes")
    return repository


class Following:
    """`dev logs -f --json` in a process of its own, with the lines it has printed."""

    def __init__(self, repository: Repository, *words: str) -> None:
        self.out = repository.temporary.with_suffix(".out")
        self.err = repository.temporary.with_suffix(".err")
        # Its files are there while other commands end, which must leave none.
        self.temporary = repository.temporary.with_suffix(".follow")
        self.temporary.mkdir(exist_ok=True)
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                (sys.executable, "-c", LISTENING, DEV, "logs", "-f", "--json", *words),
                cwd=repository.root,
                env=repository.variables(TMPDIR=str(self.temporary)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines that are complete."""
        return [json.loads(line) for line in self.out.read_text().split("\n")[:-1]]

    def counted(self) -> dict[tuple[str, str], list[int]]:
        """Return for each life of a container the numbers that came from it, in their order."""
        found: dict[tuple[str, str], list[int]] = {}
        for line in self.lines:
            life, number = line["text"].split(" ")
            found.setdefault((line["stack"], life), []).append(int(number))
        return found

    def lives(self, stack: str) -> int:
        return sum(name == stack for name, _ in self.counted())

    def more(self, stack: str, seconds: float = 90) -> None:
        """Wait for lines of a stack beyond those that came so far."""
        before = sum(line["stack"] == stack for line in self.lines)
        wait_for(
            f"more lines of {stack}: {self.err.read_text()}",
            lambda: sum(line["stack"] == stack for line in self.lines) > before + 20,
            seconds,
        )

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        assert list(self.temporary.iterdir()) == [], "temporary files"
        return code


@contextmanager
def following(repository: Repository, *words: str) -> Iterator[Following]:
    process = Following(repository, *words)
    try:
        yield process
    finally:
        process.process.kill()
        process.process.wait()


def cut(host: Host) -> None:
    """End all connections to a host."""
    host.run("ps -eo pid,args | awk '/sshd(-session)?: root@/ && !/awk/ { print $1 }' | xargs kill")


def is_quiet(host: Host) -> bool:
    """Whether nothing reads logs on a host any more."""
    return not host.says(
        "ps -eo args | grep -E '[d]ocker logs|[l]ogs.sh|[e]vents .*--filter event=start --filter label'"
    )


def test_logs_of_all_stacks_are_in_the_order_of_time(repository: Repository) -> None:
    ended = repository.dev("logs", "app", "job", "-n", "30", "--json")
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)
    assert {line["stack"] for line in lines} == {repository.stack(n) for n in (1, 2, 3)}
    of_job = [line["text"] for line in lines if (line["stack"], line["service"]) == (repository.stack(2), "job")]
    assert (of_job[:2], of_job[2].endswith("bred")) == (["first", "second"], True), "of a container that has ended"
    assert "\x1b" not in ended.stdout


def test_names_services_and_expressions_choose_lines(repository: Repository) -> None:
    one = repository.dev("logs", f"{repository.service}-[2]", "job", "--grep", "^s").stdout
    assert one == f"{repository.stack(2)} job | second\n"
    assert repository.dev("logs", "job", repository.stack(1), "--grep", "first", "--no-log-prefix").stdout == "first\n"
    assert repository.dev("logs", repository.stack(1), "job", "--since", "1ms").stdout == ""
    assert "did you mean `job`?" in repository.dev("logs", "jop", code=2).stderr


def test_a_hundred_thousand_lines_arrive_whole_and_cost_little(repository: Repository) -> None:
    with following(repository, repository.stack(1), "burst") as process:
        wait_for("the last line", lambda: b"yyyy" in process.out.read_bytes()[-50_000:], 90)
        assert process.end() == 130
        lines = process.lines
    assert [line["text"].split(" ")[1] for line in lines[:-1]] == [str(n) for n in range(1, 100_001)]
    assert lines[-1]["text"].replace("y" * 1000, "Y") == "Y" * 40, "a line that the engine keeps in pieces"


def test_followed_logs_lose_and_double_no_line(lab: Lab, repository: Repository, hosts: tuple[Host, ...]) -> None:
    deployed, restarted, parted = (repository.stack(n) for n in (1, 2, 3))
    with following(repository, "app", "-n", "5") as process:
        for stack in (deployed, restarted, parted):
            process.more(stack)
        cut(hosts[2])
        container = hosts[1].containers(restarted)["app"]["Id"]
        hosts[1].run(f"docker restart --time 0 {container}")
        repository.commit({".devcontainer/message": "another\n"})
        repository.deploy(deployed, "--skip-push", "--yes")
        wait_for("the next lives", lambda: process.lives(deployed) == 2 and process.lives(restarted) == 2, 60)
        for stack in (deployed, restarted, parted):
            process.more(stack)
        assert process.end() == 130, process.err.read_text()
        counted = process.counted()
        assert "Reconnected" in process.err.read_text()
    assert {stack for stack, _ in counted} == {deployed, restarted, parted}
    for numbers in counted.values():
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert sorted(numbers[0] == 1 for numbers in counted.values()) == [False] * 3 + [True] * 2
    for host in hosts:
        wait_for("nothing reads logs on the host", lambda host=host: is_quiet(host), 30)


def test_followed_logs_survive_a_reboot_of_the_host(lab: Lab) -> None:
    repository = lab.small("reboot", [], compose=COMPOSE.replace("build: .\n", "build: .\n    restart: always\n"))
    repository.commit({"config/dev.yml": lab.made_hosts(repository)})
    repository.deploy("--skip-push", "--yes")
    (host,) = lab.hosts(repository)
    with following(repository, "app") as process:
        process.more(repository.stack())
        docker("restart", host.container, timeout=180)
        wait_for("the next life", lambda: process.lives(repository.stack()) == 2, 120)
        process.more(repository.stack())
        assert process.end() == 130
        counted = process.counted()
    assert len(counted) == 2
    for numbers in counted.values():
        assert numbers == list(range(1, len(numbers) + 1))
