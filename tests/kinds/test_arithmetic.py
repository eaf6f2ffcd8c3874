"""What host scripts compute without starting a process: times, lists, files and ports. No engine is needed."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest

from tests.hosts import FOLDER
from tests.shells import SHELLS


def printed(shell: str, script: str, *args: str, home: Path | None = None) -> str:
    """Return what a script prints that has the functions of a few host scripts."""
    text = f'here=$0; . "$here/lib.sh"; . "$here/stack.sh"; . "$here/ports.sh"\n{script}'
    argv = (*shell.split(), "-c", text, str(FOLDER), *args)
    environment = {**os.environ, **({"HOME": str(home)} if home else {})}
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False, env=environment)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "text",
    [
        "1970-01-01T00:00:00Z",
        "2000-02-29T23:59:59.999999999Z",
        "2024-12-31T08:09:08.5Z",
        "2026-08-09T09:08:09.08Z",
        "2026-11-28T00:00:00.012345Z",
        "2100-03-01T12:30:00Z",
    ],
)
def test_a_time_of_the_engine_becomes_milliseconds(shell: str, text: str) -> None:
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp()
    expected = int(seconds) * 1000 + int(f"{fraction}000"[:3])
    assert printed(shell, 'moment "$1" && echo "$moment"', text).strip() == str(expected)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("text", ["", "yesterday", "2026-11-28", "2026-11-28Tab:00:00Z", "26-11-28T00:00:00Z"])
def test_another_text_is_no_time(shell: str, text: str) -> None:
    assert printed(shell, 'moment "$1" || echo none', text) == "none\n"


@pytest.mark.parametrize("shell", SHELLS)
def test_words_become_a_list(shell: str) -> None:
    for words in ((), ("a",), ("a b", "", "c"), ("a", 'b"c', "tab\té\\", "line\nfeed")):
        assert json.loads(printed(shell, 'json_list "$@"', *words)) == list(words)


@pytest.mark.parametrize("shell", SHELLS)
def test_a_file_is_read_as_it_is(shell: str, tmp_path: Path) -> None:
    for text in ("", "one", "one\n", "  two \\ lines\n\n and spaces \t\n"):
        (tmp_path / "file").write_text(text)
        assert printed(shell, 'read_file "$1" && printf %s "$content"', f"{tmp_path}/file") == text.removesuffix("\n")
    assert printed(shell, 'content=old; read_file "$1" || printf "none%s" "$content"', f"{tmp_path}/none") == "none"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("wanted", "listens"),
    [
        ("127.0.0.1 8080 tcp", True),
        ("0.0.0.0 8080 tcp", True),
        (":: 8080 tcp", True),
        ("10.0.0.9 8080 tcp", False),
        ("10.0.0.9 22 tcp", True),
        ("127.0.0.1 8080 udp", False),
        ("127.0.0.1 8081 tcp", False),
    ],
)
def test_a_port_is_in_use_at_its_address(shell: str, wanted: str, listens: bool) -> None:
    script = """listening='tcp 0100007F 1F90
tcp 00000000000000000000000000000000 0016
udp 0100007F 0035'
if is_listened_to $1; then echo yes; else echo no; fi"""
    assert printed(shell, script, wanted) == ("yes\n" if listens else "no\n")


@pytest.mark.parametrize("shell", SHELLS)
def test_containers_of_the_stack_are_told_from_others(shell: str, tmp_path: Path) -> None:
    listed = (
        "1|False|blog-1|a|80->80/tcp, 81->81/tcp|image|HOME/.kamal-dev/blog-1/current",
        "2|True|blog-1|b||image|HOME/.kamal-dev/blog-1/current",
        "3|False|other|c||image|/elsewhere",
        "4|False|blog-1|d||image|",
        "5|False|blog-1|e||image|/a folder|with a bar",
    )
    text = "\n".join(listed).replace("HOME", str(tmp_path))
    script = """
use_stack blog-1
rows=$1
list_containers() { container_list=$rows; }
find_containers
printf '%s;%s' "$ids" "$foreign"
"""
    assert printed(shell, script, text, home=tmp_path) == "1\n4\n5;/a folder|with a bar"
