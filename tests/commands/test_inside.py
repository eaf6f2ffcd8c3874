from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from kamal_dev.commands import editor, inside
from kamal_dev.commands.inside import ExecOptions
from kamal_dev.commands.stacks import RunningContainer

PLACE = RunningContainer(
    "abc123", "blog-1-app-1", "sha256:1", "running", 42, environment=("PATH=/usr/bin:/bin", "EMPTY=")
)


def test_a_shell_is_entered_as_the_user_in_the_folder_with_a_terminal() -> None:
    argv = inside.command(PLACE, ExecOptions("vscode", "/work", terminal="xterm"), ())
    assert argv[:8] == ("docker", "exec", "--interactive", "--tty", "--env", "TERM=xterm", "--user", "vscode")
    assert argv[8:11] == ("abc123", "sh", "-c")
    assert argv[12:] == ("kamal-dev", "/work")


def test_the_environment_is_a_file_that_is_gone_before_the_command_begins() -> None:
    argv = inside.command(PLACE, ExecOptions(file="/root/.kamal-dev/.environment/t", without=("A", "B")), ("x", "y"))
    assert argv[3:7] == ("kamal-dev", "/root/.kamal-dev/.environment/t", "docker", "exec")
    assert argv[argv.index("--env-file") + 1] == "/dev/fd/3"
    assert argv[argv.index("abc123") + 1 :][:5] == ("env", "-u", "A", "-u", "B")


def test_a_login_that_may_not_use_docker_asks_sudo_first() -> None:
    argv = inside.command(replace(PLACE, direct=False), ExecOptions(file="/f"), ())
    assert argv[:4] == ("sudo", "-n", "--", "sh")


def test_words_in_another_service_need_no_shell_there() -> None:
    argv = inside.command(PLACE, ExecOptions(), ("/bin/tool", "a b"), is_main=False)
    assert argv == ("docker", "exec", "--interactive", "abc123", "/bin/tool", "a b")


def enter(*words: str) -> subprocess.CompletedProcess[str]:
    """Run what would run in a container here."""
    argv = inside.command(PLACE, ExecOptions(folder=words[0]), words[1:])
    return subprocess.run(argv[argv.index("abc123") + 1 :], check=False, capture_output=True, text=True)


def test_several_words_are_run_as_they_are_and_one_is_a_line_for_the_shell(tmp_path: Path) -> None:
    assert enter(str(tmp_path), "printf", "[%s]", "$HOME", "").stdout == "[$HOME][]"
    assert enter(str(tmp_path), "pwd; exit 3").stdout == f"{tmp_path}\n"
    assert enter(str(tmp_path), "exit 3").returncode == 3


def test_a_folder_that_is_missing_is_told_and_the_container_s_own_serves() -> None:
    done = enter("/no/such/folder", "echo here")
    assert done.stdout == "here\n"
    assert "/no/such/folder is not there" in done.stderr


def test_remote_env_takes_from_the_container_and_takes_away() -> None:
    wanted = (
        ("PATH", "${containerEnv:PATH}:/extra"),
        ("MISSING", "${containerEnv:NO:default}|${containerEnv:EMPTY:unused}"),
        ("GONE", None),
        ("TWO", "a\nb"),
        ("BAD NAME", "x"),
    )
    values, without, left_out = inside.environment(wanted, PLACE)
    assert values == {"PATH": "/usr/bin:/bin:/extra", "MISSING": "default|"}
    assert without == ("GONE",)
    assert left_out == ("TWO", "BAD NAME")


@pytest.mark.parametrize(
    ("folder", "end"), [("/workspaces/x", "/workspaces/x"), ("/my work/ü?#", "/my%20work/%C3%BC%3F%23")]
)
def test_an_editor_s_address_names_container_host_and_folder(folder: str, end: str) -> None:
    uri = editor.vscode("blog-1-app-1", folder, "blog-1")
    head, _, rest = uri.partition("+")
    assert head == "vscode-remote://attached-container"
    said = bytes.fromhex(rest.partition("/")[0]).decode()
    assert said == '{"containerName":"/blog-1-app-1","settings":{"host":"ssh://blog-1"}}'
    assert uri.endswith(end)
    assert editor.vscode_link(uri).startswith("vscode://vscode-remote/attached-container+7b22")
