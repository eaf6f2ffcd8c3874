"""The registry's account: what is missing is told before anything is built."""

from __future__ import annotations

import pytest

from kamal_dev import config
from kamal_dev.errors import CredentialsMissing
from kamal_dev.model import Result, Secret, Step

TEXT = "service: blog\nregistry: {username_env: GITHUB_USER, password_env: GITHUB_TOKEN}\n"


def load(text: str = TEXT, **environment: str) -> config.Config:
    return config.load(text, "config/dev.yml", environment=environment)


def secrets(text: str, ran: list[Step] | None = None, **environment: str) -> config.SecretsFile:
    def run(step: Step) -> Result:
        (ran if ran is not None else []).append(step)
        return Result(step, 0, "said\n")

    return config.parse_secrets(text, ".kamal/secrets", environment=environment, run=run)


def test_credentials_come_from_the_secrets_file() -> None:
    found = config.credentials(load(), secrets("GITHUB_USER=acme\nGITHUB_TOKEN=$(x)\n"))
    assert found == config.Credentials("ghcr.io", "acme", Secret("said"))
    assert "said" not in repr(found)


def test_every_missing_variable_is_named_with_its_file() -> None:
    with pytest.raises(CredentialsMissing) as caught:
        config.credentials(load(), secrets("GITHUB_USER=\n"))
    assert str(caught.value) == ".kamal/secrets: GITHUB_USER is not set\n.kamal/secrets: GITHUB_TOKEN is not set"
    assert caught.value.exit_code == 2


def test_what_is_missing_is_found_without_running_a_command() -> None:
    ran: list[Step] = []
    missing = config.missing_credentials(load(), secrets("GITHUB_TOKEN=$(x)\n", ran))
    assert [str(problem) for problem in missing] == [".kamal/secrets: GITHUB_USER is not set"]
    assert config.missing_credentials(load(), {"GITHUB_USER", "GITHUB_TOKEN"}) == ()
    assert ran == []


def test_a_registry_that_asks_for_nothing_needs_nothing() -> None:
    local = load("service: blog\nregistry: {server: 'localhost:5555'}\n")
    assert config.credentials(local, secrets("")) is None
    assert config.missing_credentials(local, ()) == ()


def test_without_a_configured_registry_nothing_can_be_pushed() -> None:
    with pytest.raises(CredentialsMissing, match=r"config/dev\.yml: no registry is configured"):
        config.credentials(config.default("blog"), secrets(""))


def test_the_user_name_is_taken_from_the_secrets_file_where_the_environment_has_none() -> None:
    ran: list[Step] = []
    given = secrets("GITHUB_USER=acme\nGITHUB_TOKEN=$(x)\n", ran)
    for ask in (True, False):
        assert config.with_username(load(), given, ask=ask).registry.username == "acme"
        assert config.with_username(load(GITHUB_USER="env"), given, ask=ask).registry.username == "env"
        assert config.with_username(load(), secrets(""), ask=ask).registry.username == ""
        assert config.with_username(config.default("blog"), given, ask=ask) == config.default("blog")
    assert ran == []


def test_a_user_name_that_a_command_tells_is_asked_for_only_where_it_is_wanted() -> None:
    ran: list[Step] = []
    given = secrets("GITHUB_USER=$(whoami)\n", ran)
    assert config.with_username(load(), given, ask=False).registry.username == ""
    assert ran == []
    config.with_username(load(), given, ask=True)
    assert len(ran) == 1
