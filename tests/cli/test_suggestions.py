"""What is said of a word that is no command, and by `dev` without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kamal_dev.cli.app import COMMANDS, app
from kamal_dev.cli.exit import guarded
from kamal_dev.cli.suggestions import OTHERS, suggestion
from kamal_dev.model import Host
from kamal_dev.pipeline.overview import next_command
from kamal_dev.pipeline.status import StackStatus


@pytest.mark.parametrize(
    ("words", "word", "command"),
    [
        (["app", "logs", "-f"], "app logs", "logs"),
        (["app", "exec"], "app exec", "exec"),
        (["redeploy"], "redeploy", "deploy"),
        (["details"], "details", "status"),
        (["app"], "app", "status"),
        (["rollout", "undo", "x"], "rollout undo", "rollback"),
        (["depoly"], "depoly", "deploy"),
        (["redploy"], "redploy", "deploy"),
        (["restrat"], "restrat", "restart"),
        (["app", "maintenance"], "app maintenance", "stop"),
        (["server", "exec", "ls"], "server exec", "exec"),
        (["build", "deliver"], "build deliver", "push"),
        (["prune", "all"], "prune all", "prune"),
        (["help"], "help", "--help"),
        (["help", "deploy"], "help deploy", "deploy --help"),
        (["version"], "version", "--version"),
        (["rollb"], "rollb", "rollback"),
        (["qqqq"], "qqqq", ""),
    ],
)
def test_words_of_other_programs_and_typing_errors_lead_to_a_command(words: list[str], word: str, command: str) -> None:
    assert suggestion(words, COMMANDS) == (word, command)


def test_every_suggestion_is_a_command_and_no_command_is_suggested_away() -> None:
    assert set(OTHERS.values()) <= {*COMMANDS, "--help", "--version"}
    assert not set(OTHERS) & set(COMMANDS)


def stack(number: int, state: str, version: str = "v1") -> StackStatus:
    return StackStatus(f"blog-{number}", Host(f"blog-{number}", "10.0.0.1"), state, version)


@pytest.mark.parametrize(
    ("stacks", "command"),
    [
        ([], "dev deploy"),
        ([stack(1, "absent", "")], "dev deploy"),
        ([stack(1, "up"), stack(2, "up")], "dev ssh blog-1"),
        ([stack(1, "up"), stack(2, "up", "v0")], "dev deploy blog-2"),
        ([stack(1, "up", "v0"), stack(2, "up", "v0")], "dev deploy"),
        ([stack(1, "up"), stack(2, "stopped")], "dev start blog-2"),
        ([stack(1, "stopped"), stack(2, "degraded")], "dev status blog-2"),
        ([stack(1, "down"), stack(2, "unreachable")], "dev doctor"),
    ],
)
def test_the_next_command_follows_from_the_states(stacks: list[StackStatus], command: str) -> None:
    assert next_command(stacks, "v1", has_config=True)[0] == command
    assert next_command(stacks, "v1", has_config=False)[0] == "dev init"


def test_without_a_command_the_next_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert guarded(app, []) == 0
    assert "Usage: dev" in capsys.readouterr().out
    (tmp_path / ".devcontainer").mkdir()
    (tmp_path / ".devcontainer" / "devcontainer.json").write_text('{"image": "debian:12"}')
    assert guarded(app, []) == 0
    assert "Next: `dev init`" in capsys.readouterr().out
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "dev.yml").write_text("service: blog\nprovider: {type: static, hosts: []}\n")
    assert guarded(app, ["app", "logs"]) == 2
    assert "No such command `app logs`. Did you mean `logs`?" in capsys.readouterr().err
    assert guarded(app, ["build", "push"]) == 2
    assert "No such command `build push`. Did you mean `push`?" in capsys.readouterr().err
    assert guarded(app, ["help", "deploy"]) == 2
    assert "Did you mean `dev deploy --help`?" in capsys.readouterr().err
