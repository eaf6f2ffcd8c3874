"""The recorded deploy in real terminals, resized while it runs."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.output import recorded
from tests.terminal import Terminal

ROOT = Path(__file__).parents[2]
FINAL = [
    "✓ Pushed `registry.example.com/acme/blog-dev:9f3c2a1b4d5e` in 8.4s",
    "✗ blog-3: service `app` is in a crash loop",
    "  blog-3: app: restarted 3 times (restarting, exit code 1)",
    "  blog-3:   no such table",
    "  blog-3: left behind: the containers were stopped",
    "hint: fix the service and deploy again",
    "✓ blog-1: Deployed in 52s",
    "✓ blog-2: Version is already running",
]
SPINNING = re.compile(r"^[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] (.*)")


class Replay(Terminal):
    """The recorded deploy in a terminal; its parts are shown when asked for."""

    def __init__(self, folder: Path, *arguments: Any, **options: Any) -> None:
        super().__init__((sys.executable, "-m", "tests.output.replay", str(folder)), folder, *arguments, **options)
        self._folder = folder
        self.play(1)

    def play(self, parts: int = len(recorded.PARTS)) -> None:
        """Show the first parts."""
        for number in range(parts):
            (self._folder / str(number)).touch()


@pytest.fixture
def replayed(tmp_path: Path) -> Iterator[Callable[..., Replay]]:
    """Show the first part of the recorded deploy in a terminal."""
    terminals: list[Replay] = []

    def make(width: int, height: int, **environment: str) -> Replay:
        env = {**os.environ, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), **environment}
        env.pop("NO_COLOR", None)
        folder = tmp_path / str(len(terminals))
        folder.mkdir()
        terminals.append(Replay(folder, (width, height), cwd=ROOT, env={**env, **environment}))
        return terminals[-1]

    yield make
    for terminal in terminals:
        terminal.close()


def until(condition: Callable[[], object], terminal: Terminal, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "\n".join(terminal.lines)
        time.sleep(0.05)


def rows(terminal: Terminal) -> list[str]:
    """The rows that move now, without what does not fit."""
    return [match[1][:12].strip() for line in terminal.lines if (match := SPINNING.match(line))]


def test_no_row_stays_where_a_terminal_is_resized(replayed: Callable[..., Replay]) -> None:
    terminal = replayed(130, 24)
    until(lambda: len(rows(terminal)) == 3, terminal)
    for width in (80, 40, 130):
        terminal.resize(width, 24)
        time.sleep(0.3)  # at once it would show what the terminal made of the rows
        until(lambda: len(rows(terminal)) == len(set(rows(terminal))) == 3, terminal)
    terminal.play(3)
    until(lambda: any("crash loop" in line for line in terminal.lines), terminal)
    for width in range(128, 60, -4):  # as if a person drags its border
        terminal.resize(width, 24)
        time.sleep(0.03)
    terminal.play()
    until(lambda: terminal.code is not None, terminal)
    assert terminal.code == 0
    terminal.resize(130, 24)
    until(lambda: terminal.lines[-len(FINAL) :] == FINAL, terminal)


def test_a_terminal_of_forty_columns_and_few_lines_shows_what_fits(replayed: Callable[..., Replay]) -> None:
    terminal = replayed(40, 6)
    until(lambda: len(rows(terminal)) == 3, terminal)
    assert all(len(line) < 40 for line in terminal.lines if SPINNING.match(line))
    terminal.play()
    until(lambda: terminal.code is not None, terminal)
    assert [line for line in terminal.history if not SPINNING.match(line)][-len(FINAL) :] == FINAL


def test_a_terminal_without_utf_8_or_colours_gets_neither(replayed: Callable[..., Replay]) -> None:
    terminal = replayed(80, 24, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0", NO_COLOR="1")
    terminal.play()
    until(lambda: terminal.code is not None, terminal)
    assert terminal.code == 0
    shown = "\n".join(terminal.history)
    assert shown.isascii()
    assert "+ blog-1: Deployed in 52s" in shown
    assert "\x1b[3" not in terminal.coloured
    coloured = replayed(80, 24)
    coloured.play()
    until(lambda: coloured.code is not None, coloured)
    assert "\x1b[3" in coloured.coloured
