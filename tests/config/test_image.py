"""config.image: the one function that names an image."""

from __future__ import annotations

import pytest

from kamal_dev import config
from kamal_dev.errors import ConfigError
from kamal_dev.model import Version

SHA = Version("0123abc")


def name(text: str, service: str = "", *, user: str = "acme", version: Version = SHA) -> str:
    read = config.load(text, "config/dev.yml", environment={"REGISTRY_USERNAME": user})
    return config.image(read, version, service).reference


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("", "ghcr.io/acme/blog-dev:0123abc"),
        ("registry: {server: docker.io}", "docker.io/acme/blog-dev:0123abc"),
        ("registry: {server: hub.docker.com}", "docker.io/acme/blog-dev:0123abc"),
        ("registry: {server: 'Reg.Example.com:5000'}", "reg.example.com:5000/acme/blog-dev:0123abc"),
        ("registry: {server: 'localhost:5555'}", "localhost:5555/blog-dev:0123abc"),
        ("registry: {server: '127.0.0.1:5555'}", "127.0.0.1:5555/blog-dev:0123abc"),
        ("registry: {server: reg.lan, username_env: '', password_env: ''}", "reg.lan/blog-dev:0123abc"),
        ("image: acme/blog", "ghcr.io/acme/blog:0123abc"),
        ("image: a/b/c", "ghcr.io/a/b/c:0123abc"),
        ("image: blog", "ghcr.io/acme/blog:0123abc"),
        ("image: ghcr.io/other/blog", "ghcr.io/other/blog:0123abc"),
        ("image: localhost:5555/blog", "localhost:5555/blog:0123abc"),
        ("image: localhost/blog\nregistry: {server: 'localhost:5000'}", None),
        ("image: reg.example.com:5000/a/b", "reg.example.com:5000/a/b:0123abc"),
        ("image: docker.io/acme/blog", "docker.io/acme/blog:0123abc"),
        ("image: {name: blog}\nregistry: {server: 'localhost:5555'}", "localhost:5555/blog:0123abc"),
    ],
)
def test_server_user_and_repository_come_from_the_configuration(text: str, reference: str | None) -> None:
    if reference is None:
        with pytest.raises(ConfigError):
            name(f"service: blog\n{text}\n")
    else:
        assert name(f"service: blog\n{text}\n") == reference


def test_further_services_are_appended() -> None:
    assert name("service: blog\n", "worker") == "ghcr.io/acme/blog-dev-worker:0123abc"
    assert name("service: blog\nimage: acme/blog\n", "Job.Runner_2") == "ghcr.io/acme/blog-job.runner_2:0123abc"


def test_the_user_name_is_lower_case_as_registries_want_it() -> None:
    assert name("service: blog\n", user="ACME-Inc") == "ghcr.io/acme-inc/blog-dev:0123abc"


def test_an_unknown_user_gives_a_name_that_no_engine_takes() -> None:
    assert name("service: blog\n", user="") == "ghcr.io/USER/blog-dev:0123abc"
    assert name("service: blog\n", "worker", user="") == "ghcr.io/USER/blog-dev-worker:0123abc"


def test_without_a_file_the_registry_is_a_placeholder() -> None:
    assert config.image(config.default("My Blog"), SHA).reference == "registry.example/my-blog-dev:0123abc"


def test_the_same_values_give_the_same_name() -> None:
    read = config.load("service: blog\n", "config/dev.yml", environment={})
    assert config.image(read, SHA) == config.image(read, SHA)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (
            "robot$ci",
            "config/dev.yml: registry.username_env: the user name in REGISTRY_USERNAME cannot be part of an image name;"
            " set `image.name`",
        ),
        ("a/b", "config/dev.yml: registry.username_env: the user name in REGISTRY_USERNAME cannot be part of"),
        ("a" * 250, "config/dev.yml:1: service: `aaa"),
    ],
)
def test_a_user_name_that_fits_in_no_image_is_refused(user: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        name("service: blog\n", user=user)
    assert str(caught.value).startswith(message)


def test_a_service_that_fits_in_no_image_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        name("service: blog\n", "_x")
    assert str(caught.value) == (
        "config/dev.yml: services._x: `acme/blog-dev-_x` is not a valid image name in a registry"
    )


@pytest.mark.parametrize("text", ["-x", ".x", "a b", "", "a/b", "ä", "a\n", "a" * 129])
def test_a_version_that_is_no_tag_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        name("service: blog\n", version=Version(text))
    assert str(caught.value).startswith("the version ")


@pytest.mark.parametrize("text", ["_x", "v1.2.3-rc_1", "a" * 128])
def test_a_version_that_is_a_tag_is_taken(text: str) -> None:
    assert name("service: blog\n", version=Version(text)).endswith(f":{text}")


def test_a_configuration_made_by_hand_is_checked_too() -> None:
    made = config.Config("blog", image=config.ImageSettings("Bad Name"))
    with pytest.raises(ConfigError, match=r"image\.name: `Bad Name` is not a valid image name"):
        config.image(made, SHA)


@pytest.mark.parametrize(
    ("service", "expected"), [("metalsmoney-dev", "metalsmoney-dev"), ("dev", "dev"), ("webdev", "webdev-dev")]
)
def test_a_service_that_ends_in_dev_gets_no_second_one(service: str, expected: str) -> None:
    assert name(f"service: {service}\n") == f"ghcr.io/acme/{expected}:0123abc"
    assert name(f"service: {service}\n", "worker") == f"ghcr.io/acme/{expected}-worker:0123abc"
