"""Which words Compose gets on a host, and which a release cannot have."""

from __future__ import annotations

import pytest

from kamal_dev.commands import wait
from kamal_dev.commands.compose import ComposeCall
from kamal_dev.errors import UsageError


@pytest.mark.parametrize(
    ("words", "is_change", "locks"),
    [
        (("ps", "--all"), False, False),
        (("logs", "-f", "db"), False, False),
        (("--ansi", "never", "top"), False, False),
        (("exec", "db", "psql", "-p", "5432"), True, False),
        (("restart", "db"), True, True),
        (("down",), True, True),
    ],
)
def test_what_changes_a_stack_takes_its_lock(words: tuple[str, ...], is_change: bool, locks: bool) -> None:
    call = ComposeCall.of(words)
    assert (call.is_change, call.locks, call.question) == (is_change, locks, "")


@pytest.mark.parametrize(
    "words",
    [
        ("down", "-v"),
        ("down", "--volumes"),
        ("rm", "-v"),
        ("down", "--volumes=true"),
        ("down", "-vt", "3"),
        ("rm", "-fsv"),
    ],
)
def test_what_removes_data_is_asked_for(words: tuple[str, ...]) -> None:
    assert ComposeCall.of(words).question == "with its volumes"
    assert ComposeCall.of(("exec", "db", "ls", "-v")).question == ""


def test_up_does_not_stay_attached() -> None:
    assert ComposeCall.of(("up", "db")).words == ("up", "db", "--detach")
    for words in (("up", "-d"), ("up", "--detach=true"), ("up", "--wait"), ("up", "--no-start"), ("logs", "-f")):
        assert ComposeCall.of(words).words == words
    assert ComposeCall.of(("up", "-dV")).question == "without the data in anonymous volumes"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no command for Compose"),
        (("--ansi", "never"), "no command for Compose"),
        (("-p", "other", "ps"), "`-p` cannot be used: `dev` sets"),
        (("-fother.yaml", "ps"), "cannot be used: `dev` sets"),
        (("--file=x", "ps"), "cannot be used: `dev` sets"),
        (("build",), "a release has fixed images"),
        (("pull", "db"), "a release has fixed images"),
    ],
)
def test_what_would_break_a_release_is_refused(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ComposeCall.of(words)


@pytest.mark.parametrize("text", ["healthy", "exited", "port=1", "port=65535"])
def test_conditions(text: str) -> None:
    assert wait.condition(text) == text


@pytest.mark.parametrize("text", ["up", "port=", "port=0", "port=65536", "port=22;id", ""])
def test_other_conditions_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a condition"):
        wait.condition(text)
