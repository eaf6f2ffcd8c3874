from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kamal_dev.commands.hooks import Details, hook
from kamal_dev.model import Secret

COMMIT = "0123456789abcdef0123456789abcdef01234567"
DETAILS = Details("2026-01-02T03:04:05Z", "ada@example.com", COMMIT, "blog", "deploy")


def test_a_hook_is_told_what_kamal_tells_under_both_names() -> None:
    told = replace(
        DETAILS, hosts=("10.0.0.1", "10.0.0.2"), stacks=("blog-1", "blog-2"), runtime="12", result="deployed"
    )
    both = {
        "RECORDED_AT": "2026-01-02T03:04:05Z",
        "PERFORMER": "ada@example.com",
        "VERSION": COMMIT,
        "SERVICE": "blog",
        "SERVICE_VERSION": "blog@0123456",
        "HOSTS": "10.0.0.1,10.0.0.2",
        "COMMAND": "deploy",
        "RUNTIME": "12",
    }
    expected = {f"{prefix}_{name}": text for prefix in ("KAMAL", "DEV") for name, text in both.items()}
    assert dict(told.environment) == {**expected, "DEV_STACKS": "blog-1,blog-2", "DEV_RESULT": "deployed"}


def test_what_is_not_known_is_not_set() -> None:
    names = {name for name, _ in DETAILS.environment}
    assert names.isdisjoint({"KAMAL_HOSTS", "KAMAL_RUNTIME", "KAMAL_SUBCOMMAND", "DEV_STACKS", "DEV_RESULT"})


@pytest.mark.parametrize("version", ["v1.2.3", f"{COMMIT}-dirty-0123456789ab"])
def test_only_a_commit_is_abbreviated(version: str) -> None:
    assert dict(replace(DETAILS, version=version).environment)["KAMAL_SERVICE_VERSION"] == f"blog@{version}"


def test_the_step_is_the_program_itself_and_shows_no_secret() -> None:
    step = hook(Path("/srv/blog"), "pre-deploy", DETAILS, [("TOKEN", Secret("t0p-secret"))])
    assert step.argv == ("/srv/blog/.kamal/hooks/pre-deploy",)
    assert step.cwd == Path("/srv/blog")
    assert step.text == ".kamal/hooks/pre-deploy"
    assert ("TOKEN", Secret("t0p-secret")) in step.environment
    assert "t0p-secret" not in repr(step)
