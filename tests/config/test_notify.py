"""The file that tells a host whom to notify."""

from __future__ import annotations

import pytest

from kamal_dev.config.notify import Notify, notify_text
from kamal_dev.errors import ConfigError
from kamal_dev.model import Secret

EVERYTHING = Notify(command="./page", webhook="https://a.example/dev", secret="T", slack="S", email=("a@b.c", "d@e.f"))
SLACK = "https://hooks.example/T0/x"


def text(slack: str = SLACK, token: str = "Bearer x") -> str:
    return notify_text(EVERYTHING, {"S": Secret(slack), "T": Secret(token)}, ".kamal/secrets")


def test_a_line_per_setting_with_the_values_of_secrets() -> None:
    assert text().splitlines() == [
        "command ./page",
        "webhook https://a.example/dev",
        "header Authorization: Bearer x",
        f"slack {SLACK}",
        "email a@b.c d@e.f",
        "disk 90",
        "calm 60",
        "repeat 1800",
    ]
    assert SLACK not in notify_text(EVERYTHING, None, ".kamal/secrets")
    assert notify_text(Notify(), {}, ".kamal/secrets") == ""


@pytest.mark.parametrize(
    ("slack", "token", "problem"),
    [
        ("T0/B0/s3cret", "x", "must be a URL with http or https for `notify.slack`"),
        ("https://a.example/s3cret x", "x", "must be a URL with http or https for `notify.slack`"),
        (SLACK, "s3cret\ncommand reboot", "must be one line of text for `notify`"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_and_not_shown(slack: str, token: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        text(slack, token)
    assert problem in str(refused.value)
    assert "s3cret" not in str(refused.value)
