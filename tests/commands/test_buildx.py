from pathlib import Path

import pytest

from kamal_dev.commands.buildx import buildx
from kamal_dev.errors import ConfigError
from kamal_dev.model import Build, BuildSecret, Image, Location, Secret

IMAGE = Image("ghcr.example", "acme/site-dev", "a1b2c3d")
BUILD = Build(services=("app",), context="/src", dockerfile="/src/Dockerfile")


def test_the_plainest_build_is_loaded_into_the_engine():
    assert buildx(BUILD, image=IMAGE).text == (
        "docker buildx build --provenance=false --load -f /src/Dockerfile -t ghcr.example/acme/site-dev:a1b2c3d /src"
    )


def test_every_setting_has_its_place_in_the_order_of_the_reference():
    build = Build(
        services=("app",),
        context="/src",
        dockerfile="/src/docker/Dockerfile",
        target="dev",
        args=(("A", "1 2"), ("EMPTY", ""), ("FROM_ENVIRONMENT", None)),
        cache_from=("ghcr.example/acme/site:cache",),
        cache_to=("type=inline",),
        contexts=(("shared", "/shared"),),
        secrets=(BuildSecret("npm", environment="NPM_TOKEN"), BuildSecret("key", file="/home/me/a,b")),
        ssh=("default",),
        platforms=("linux/amd64",),
        options=("--add-host", "db:127.0.0.1"),
    )
    step = buildx(
        build,
        image=IMAGE,
        push=True,
        progress="plain",
        builder="remote",
        cache_from=("type=registry,ref=r/c",),
        cache_to=("type=registry,ref=r/c,mode=max",),
        labels=(("made-by", "test"),),
        metadata_file=Path("/tmp/metadata.json"),
        config="/tmp/docker",
    )
    assert " ".join(step.argv) == " ".join(
        (
            "docker buildx build --builder remote --progress plain --provenance=false",
            "--metadata-file /tmp/metadata.json --platform linux/amd64 --push",
            "--cache-to type=inline --cache-to type=registry,ref=r/c,mode=max",
            "-f /src/docker/Dockerfile -t ghcr.example/acme/site-dev:a1b2c3d --label made-by=test --target dev",
            "--cache-from ghcr.example/acme/site:cache --cache-from type=registry,ref=r/c",
            "--build-arg A=1 2 --build-arg EMPTY= --build-arg FROM_ENVIRONMENT",
            '--build-context shared=/shared --secret id=npm,env=NPM_TOKEN --secret id=key,"src=/home/me/a,b"',
            "--ssh default --add-host db:127.0.0.1 /src",
        )
    )
    assert step.environment == (("DOCKER_CONFIG", "/tmp/docker"),)
    assert step.stdin is None


def test_asked_platforms_stand_in_for_the_builds_own():
    build = Build(("app",), "/src", "/src/Dockerfile", platforms=("linux/amd64",))
    argv = buildx(build, image=IMAGE, platform=("linux/arm64", "linux/arm/v7")).argv
    assert argv[argv.index("--platform") + 1] == "linux/arm64,linux/arm/v7"


def test_no_cache_leaves_out_where_caches_come_from_and_not_where_they_go():
    build = Build(("app",), "/src", "/src/Dockerfile", cache_from=("one",), cache_to=("two",))
    argv = buildx(build, image=IMAGE, no_cache=True, cache_from=("three",)).argv
    assert "--no-cache" in argv
    assert "--cache-from" not in argv
    assert argv[argv.index("--cache-to") + 1] == "two"


def test_an_inline_dockerfile_travels_on_stdin():
    step = buildx(Build(("app",), "/src", dockerfile_inline="FROM scratch\n"), image=IMAGE)
    assert step.argv[step.argv.index("-f") + 1] == "-"
    assert step.stdin == b"FROM scratch\n"


def test_a_url_context_without_a_dockerfile_names_none():
    assert "-f" not in buildx(Build(("app",), "https://git.example/a.git#main"), image=IMAGE).argv


def test_secrets_travel_in_the_environment_and_never_in_argv():
    build = Build(
        ("app",),
        "/src",
        "/src/Dockerfile",
        secrets=(
            BuildSecret("a", environment="A"),
            BuildSecret("b", environment="A"),
            BuildSecret("c", environment="C"),
        ),
    )
    step = buildx(build, image=IMAGE, secret_values={"A": Secret("hush-hush-hush"), "OTHER": Secret("not asked for")})
    assert step.environment == (("A", Secret("hush-hush-hush")),)
    assert "hush" not in f"{step.text} {step!r}"


@pytest.mark.parametrize(
    "args", [(("TOKEN", None),), (("PLAIN", "x"), ("ANY", "a-long-secret-value"))], ids=["by name", "by value"]
)
def test_a_secret_among_the_arguments_is_refused_without_its_value(args):
    build = Build(("app",), "/src", "/src/Dockerfile", args=args, where=Location("compose.yaml", 7))
    with pytest.raises(ConfigError) as caught:
        buildx(build, image=IMAGE, secret_values={"TOKEN": Secret("a-long-secret-value")})
    name = args[-1][0]
    assert str(caught.value) == f"compose.yaml:7: build argument `{name}` is a secret and would stay in the image"
    assert "--mount=type=secret" in caught.value.hint
    assert "a-long-secret-value" not in repr(caught.value)


def test_a_short_value_that_a_secret_has_too_is_not_refused():
    build = Build(("app",), "/src", "/src/Dockerfile", args=(("USER", "postgres"),))
    assert "USER=postgres" in buildx(build, image=IMAGE, secret_values={"DB": Secret("postgres")}).argv
