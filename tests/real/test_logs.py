"""The logs of three stacks, read and followed while hosts, connections and containers come and go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kamal_dev.shell.fanout import Background
from tests.real.lab import DEV, LISTENING, Host, Lab, Repository, docker, wait_for

# Each life of a container begins at 1 again, with a word of its own before it.
COUNT = """\
$| = 1; my $life = time . '-' . $$ . '-' . int rand 1e9;
while (1) { print "$life ", ++$i, "\\n"; select undef, undef, undef, 0.01 }
"""
# 10,000 lines per second for 10 seconds, once there is a file.
BURST = """\
$| = 1; select undef, undef, undef, 0.1 until -e "/go";
for my $tenth (0 .. 99) {
  print join "", map { "burst " . ($tenth * 1000 + $_) . " " . "x" x 60 . "\n" } 1 .. 1000;
  select undef, undef, undef, 0.1;
}
print "y" x 40_000, "\n"; sleep 1e6
"""
COMPOSE = f"""\
services:
  app:
    build: .
    restart: always
    command: [perl, -e, {json.dumps(COUNT.replace("$", "$$"))}]
  job:
    image: debian:12
    command: [sh, -c, "echo first; sleep 0.3; echo second >&2; sleep 0.3; printf 'a\\\\000b\\\\033[31mred\\\\n'"]
  burst:
    image: debian:12
    command: [perl, -e, {json.dumps(BURST.replace("$", "$$"))}]
    stop_signal: SIGKILL
"""


@pytest.fixture(scope="module")
def repository(lab: Lab) -> Repository:
    """Three stacks on hosts of their own: a reboot changes the port of a host."""
    repository = lab.small("logs", [], compose=COMPOSE)
    repository.commit({"config/dev.yml": lab.made_hosts(repository, count=3)})
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
        self._lines: list[dict[str, Any]] = []
        self._rest = b""
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                (sys.executable, "-c", LISTENING, DEV, "logs", "-f", "--json", *words),
                cwd=repository.root,
                env=repository.variables(TMPDIR=str(self.temporary)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self._reading = self.out.open("rb")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines that are complete."""
        *texts, self._rest = (self._rest + self._reading.read()).split(b"\n")
        self._lines += map(json.loads, texts)
        return self._lines

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

    def processor_seconds(self) -> float:
        """Return what it and its children have used so far."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(") ")[2].split()
        return sum(map(int, words[11:15])) / os.sysconf("SC_CLK_TCK")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reading.close()

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
        process.kill()


def cut(host: Host) -> None:
    """End all connections to a host."""
    host.run("ps -eo pid,args | awk '/sshd(-session)?: root@/ && !/awk/ { print $1 }' | xargs -r kill || true")


def breaks(numbers: list[int]) -> list[tuple[int, int]]:
    """Return the neighbours that do not follow each other."""
    return [(one, other) for one, other in pairwise(numbers) if other != one + 1]


def is_quiet(host: Host) -> bool:
    """Whether nothing reads logs on a host any more."""
    return not host.says(
        "ps -eo args | grep -E '[d]ocker logs|[l]ogs.sh|[e]vents .*--filter event=start --filter label'"
    )


def json_lines(repository: Repository, *words: str) -> list[dict[str, Any]]:
    """The log lines of the first stack."""
    return list(map(json.loads, repository.dev("logs", repository.stack(1), *words, "--json").stdout.splitlines()))


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
    first, second = json_lines(repository, "job")[:2]
    assert json_lines(repository, "job", "--until", first["time"], "-n", "1") == [first], "the last line until then"
    assert json_lines(repository, "job", "--since", second["time"], "-n", "9")[0] == second
    assert "did you mean `job`?" in repository.dev("logs", "jop", code=2).stderr


def test_ten_thousand_lines_per_second_arrive_whole(lab: Lab, repository: Repository) -> None:
    host = lab.hosts(repository)[0]
    container = host.containers(repository.stack(1))["burst"]["Id"]
    with following(repository, repository.stack(1), "burst") as process:
        host.run(f"docker exec {container} touch /go")
        wait_for("the last line", lambda: process.lines and process.lines[-1]["text"].startswith("yyyy"), 90)
        arrived, process_seconds = time.time(), process.processor_seconds()
        assert process.end() == 130
        lines = process.lines
    assert [line["text"].split(" ")[1] for line in lines[:-1]] == [str(n) for n in range(1, 100_001)]
    assert lines[-1]["text"].replace("y" * 1000, "Y") == "Y" * 40, "a line that the engine keeps in pieces"
    first, last = (datetime.fromisoformat(line["time"][:26] + "+00:00").timestamp() for line in (lines[0], lines[-1]))
    print(f"{100_000 / (last - first):.0f} lines/s, the last one {arrived - last:.1f} s late; {process_seconds} s here")


def test_followed_logs_lose_and_double_no_line(lab: Lab, repository: Repository) -> None:
    """One stack is redeployed, the host of another reboots, and the connection to a third is cut, at the same time."""
    deployed, rebooted, parted = (repository.stack(n) for n in (1, 2, 3))
    hosts = lab.hosts(repository)
    with following(repository, "app", "-n", "5") as process:
        for stack in (deployed, rebooted, parted):
            process.more(stack)
        repository.commit({".devcontainer/message": "another\n"})
        reboot = Background(lambda: docker("restart", hosts[1].container, timeout=180))
        deploy = Background(lambda: repository.deploy(deployed, "--skip-push", "--yes"))
        while not (reboot.is_done and deploy.is_done):
            cut(hosts[2])
            process.more(parted)
        reboot.result(), deploy.result()
        wait_for("the next lives", lambda: process.lives(deployed) == 2 and process.lives(rebooted) == 2, 120)
        for stack in (deployed, rebooted, parted):
            process.more(stack)
        assert process.end() == 130, process.err.read_text()
        counted = process.counted()
        messages = process.err.read_text()
    assert sorted(stack for stack, _ in counted) == [deployed, deployed, rebooted, rebooted, parted]
    assert {life: breaks(numbers) for life, numbers in counted.items() if breaks(numbers)} == {}, messages
    assert sorted(numbers[0] == 1 for numbers in counted.values()) == [False] * 3 + [True] * 2
    assert messages.count("; reconnecting") == messages.count("Reconnected") > 2, messages
    for host in lab.hosts(repository):
        wait_for("nothing reads logs on the host", lambda host=host: is_quiet(host), 30)
