"""What people see in a terminal that they resize: a deploy where one of three hosts fails, and followed logs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.real.lab import DEV, Host, Lab, Repository, wait_for
from tests.terminal import Terminal

# The third stack fails.
COMMAND = """\
if [ "$NODE_INDEX" = 3 ]; then echo no such table; exit 3; fi
while :; do n=$((n + 1)); echo tick $n; sleep 0.2; done
"""
COMPOSE = f"""\
services:
  app:
    build: .
    command: [sh, -c, {json.dumps(COMMAND.replace("$", "$$"))}]
"""
MOVING = re.compile(r"^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏✓] (\S*-[123])  ")


@pytest.fixture(scope="module")
def repository(lab: Lab, hosts: tuple[Host, ...]) -> Repository:
    return lab.small("terminal", hosts, compose=COMPOSE)


@pytest.fixture
def run(repository: Repository, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Run `dev` in a terminal."""
    terminals: list[Terminal] = []

    def start(width: int, *words: str) -> Terminal:
        env = repository.variables(LC_ALL="C.UTF-8")
        terminals.append(Terminal((DEV, *words), tmp_path, (width, 24), cwd=repository.root, env=env))
        return terminals[-1]

    yield start
    for terminal in terminals:
        terminal.close()


def rows(terminal: Terminal) -> list[str]:
    """The stacks that have a row, by the end of their names."""
    return [match[1][-2:] for line in terminal.lines if (match := MOVING.match(line))]


def test_a_deploy_with_a_host_that_fails(repository: Repository, run: Callable[..., Terminal]) -> None:
    terminal = run(130, "deploy", "--skip-push", "--yes")
    wait_for("a row for each host", lambda: rows(terminal) == ["-1", "-2", "-3"], 90)
    for width in (80, 40, 80):
        terminal.resize(width, 24)
        time.sleep(1)
        assert rows(terminal) in (["-1", "-2", "-3"], ["-1", "-2"], ["-1"], ["-2"], []), "\n".join(terminal.lines)
    wait_for("the end", lambda: terminal.code is not None, 120)
    terminal.resize(130, 24)
    time.sleep(0.5)
    assert terminal.code == 1
    shown = terminal.lines
    assert not rows(terminal)
    assert sum("no such table" in line for line in shown) == 1, "\n".join(shown)
    assert sum(line.startswith("hint: ") for line in shown) == len(
        {line for line in shown if line.startswith("hint: ")}
    )


def test_logs_that_are_followed(repository: Repository, run: Callable[..., Terminal]) -> None:
    terminal = run(130, "logs", "app", "-f", "-n", "1")
    stacks = [repository.stack(n) for n in (1, 2)]
    wait_for(
        "lines of both", lambda: all(any(f"{s} app | tick" in line for line in terminal.lines) for s in stacks), 60
    )
    for width in (40, 80, 130):
        terminal.resize(width, 24)
        time.sleep(1)
    terminal.press("C-c")
    wait_for("the end", lambda: terminal.code is not None, 30)
    assert terminal.code == 130
    # tmux may take two short lines for one that it broke when it was narrow.
    shown = terminal.history
    for stack in stacks:
        numbers = [int(number) for number in re.findall(rf"{stack} app \| tick (\d+)", "\n".join(shown))]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "\n".join(shown)
        assert len(numbers) > 10
    assert all(re.match(r"\S+-[123] app \| |\^C", line) for line in shown if line), "\n".join(shown)
