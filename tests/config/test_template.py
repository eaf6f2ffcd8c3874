"""What `dev init` writes: filled in, with every comment kept."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from kamal_dev import config
from kamal_dev.config import fill_secrets, fill_template, guess_registry
from kamal_dev.model import Result

TEMPLATES = Path(config.__file__).parents[1] / "templates"
EXAMPLE = (TEMPLATES / "dev.yml.example").read_text()
SECRETS = (TEMPLATES / "secrets.example").read_text()


def load(text: str) -> config.Config:
    return config.load(text, "config/dev.yml", environment={})


def changed(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line for line in lines if line.startswith(("+ ", "- "))]


def test_only_values_change() -> None:
    filled = fill_template(
        EXAMPLE,
        service="blog",
        devcontainer=".devcontainer.json",
        server="ghcr.io",
        registry_user="Acme-Inc",
        provider="static",
        hosts=["a@b:22"],
    )
    assert changed(EXAMPLE, filled) == [
        "- service: my-app",
        "+ service: blog",
        "-   # name: acme/guestbook",
        "+   # name: acme-inc/blog",
        "-   # devcontainer: .devcontainer/devcontainer.json",
        "+   devcontainer: .devcontainer.json",
        "-   server: localhost:5555",
        "+   server: ghcr.io",
        "-   type: docker",
        "+   type: static",
        "-   # hosts: [deploy@10.0.0.1, deploy@10.0.0.2:2222]",
        "+   hosts: [a@b:22]",
    ]
    assert load(filled).provider["hosts"][0]["address"] == "b"


def test_nothing_found_leaves_the_example() -> None:
    assert fill_template(EXAMPLE) == EXAMPLE
    assert fill_secrets(SECRETS) == SECRETS


def test_the_first_run_needs_no_account() -> None:
    read = load(EXAMPLE)
    assert read.registry.is_local
    assert read.provider.type == "docker"
    assert config.missing_credentials(read, ()) == ()


@pytest.mark.parametrize(
    "path", [".devcontainer/a b/x.json", "007/x", "é: #.json", 'a"b', "true", "@x", "12", ".nan", ".5"]
)
def test_odd_paths_survive(path: str) -> None:
    assert load(fill_template(EXAMPLE, devcontainer=path)).image.devcontainer == path


def test_without_a_path_the_devcontainer_is_looked_for() -> None:
    assert load(fill_template(EXAMPLE, service="blog")).image.devcontainer == ""


def test_odd_service_names_survive() -> None:
    for name in ("123", "null", "on", "0x1", "1e3"):
        assert load(fill_template(EXAMPLE, service=name)).service == name


def test_the_user_name_goes_into_the_secrets_file() -> None:
    filled = fill_secrets(SECRETS, username="acme")
    assert changed(SECRETS, filled) == ["- # REGISTRY_USERNAME=your-name", "+ REGISTRY_USERNAME=acme"]
    odd = fill_secrets(SECRETS, username="it is$me")
    read = config.parse_secrets(odd, "s", environment={}, run=lambda step: Result(step, 0))
    assert [secret.reveal() for secret in read.require(["REGISTRY_USERNAME"]).values()] == ["it is$me"]


def test_the_secrets_example_sets_nothing() -> None:
    read = config.parse_secrets(SECRETS, "s", environment={}, run=lambda step: Result(step, 0))
    assert read.names == ()


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://github.com/Acme/app.git", ("ghcr.io", "acme")),
        ("git@github.com:acme/app", ("ghcr.io", "acme")),
        ("ssh://git@github.com/acme/app.git", ("ghcr.io", "acme")),
        ("ssh://git@GitHub.com:22/acme/app.git", ("ghcr.io", "acme")),
        ("https://token@github.com/acme/app", ("ghcr.io", "acme")),
        ("https://user:token@gitlab.com/group/sub/app.git", ("registry.gitlab.com", "group")),
        ("https://git.example.com/acme/app.git", ("", "")),
        ("/srv/git/app.git", ("", "")),
        ("../app", ("", "")),
        ("", ("", "")),
    ],
)
def test_the_registry_is_guessed_from_the_git_remote(remote: str, expected: tuple[str, str]) -> None:
    assert guess_registry(remote) == expected
