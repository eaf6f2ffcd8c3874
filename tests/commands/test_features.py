import json
from pathlib import Path

import pytest

from kamal_dev.commands.features import Program, configuration, devcontainer, dockerfile, has_own_dockerfile
from kamal_dev.model import Build, BuildSecret, Features, Image

SAID = {"features": {"ghcr.example/acme/node:1": {"version": "20"}}, "overrideFeatureInstallOrder": ["ghcr.example/x"]}
FEATURES = Features(
    names=("ghcr.example/acme/node:1",),
    text=json.dumps(SAID),
    path=Path("/src/.devcontainer/devcontainer.json"),
    root=Path("/src"),
    container_user="app",
    remote_user="dev",
)
BUILD = Build(
    services=("app",),
    context="/src",
    dockerfile="/src/docker/Dockerfile",
    image=Image("ghcr.example", "acme/site-dev", "a1b2c3d"),
    features=FEATURES,
)


def of_image(path: str) -> Build:
    features = Features(("./a",), '{"features": {"./a": {}}}', Path("/src") / path, Path("/src"))
    return Build(("app",), context="-", dockerfile_inline="FROM debian:12\n", image=BUILD.image, features=features)


def test_the_file_of_the_cli_has_the_resolved_build_the_features_and_the_users_alone():
    build = Build(
        services=("app",),
        context="/src",
        dockerfile="/src/docker/Dockerfile",
        target="dev",
        args=(("A", "1 2"), ("FROM_ENVIRONMENT", None)),
        cache_from=("ghcr.example/acme/site:cache",),
        cache_to=("type=inline",),
        contexts=(("shared", "/shared"),),
        secrets=(BuildSecret("npm", environment="NPM_TOKEN"),),
        ssh=("default",),
        options=("--add-host", "db:127.0.0.1"),
        features=FEATURES,
    )
    assert configuration(
        build,
        labels=(("made-by", "test"),),
        progress="plain",
        builder="remote",
        cache_from=("type=registry,ref=r/c",),
        cache_to=("type=registry,ref=r/c,mode=max",),
    ) == {
        "build": {
            "dockerfile": "/src/docker/Dockerfile",
            "context": "/src",
            "target": "dev",
            "args": {"BUILDKIT_INLINE_CACHE": "0", "A": "1 2"},
            "cacheFrom": ["ghcr.example/acme/site:cache", "type=registry,ref=r/c"],
            "options": [
                *("--provenance=false", "--builder", "remote", "--progress", "plain"),
                *("--cache-to", "type=inline", "--cache-to", "type=registry,ref=r/c,mode=max"),
                *("--label", "made-by=test", "--build-arg", "FROM_ENVIRONMENT", "--build-context", "shared=/shared"),
                *("--secret", "id=npm,env=NPM_TOKEN", "--ssh", "default", "--add-host", "db:127.0.0.1"),
            ],
        },
        **SAID,
        "containerUser": "app",
        "remoteUser": "dev",
    }


@pytest.mark.parametrize(
    ("path", "above"),
    [(".devcontainer/devcontainer.json", "../"), (".devcontainer.json", ""), (".devcontainer/a/x.json", "../../")],
)
def test_an_image_is_built_from_a_dockerfile_and_an_empty_folder_of_the_clis_own(path: str, above: str):
    build = configuration(of_image(path))["build"]
    assert (build["dockerfile"], build["context"]) == (f"{above}.kamal-dev/Dockerfile", f"{above}.kamal-dev/context")


def test_the_command_line_takes_what_the_cli_has_flags_for():
    step = devcontainer(
        BUILD, Program(), platform=("linux/amd64", "linux/arm64"), push=True, no_cache=True, config="/c"
    )
    assert step.text == (
        "devcontainer build --workspace-folder . --config .devcontainer/devcontainer.json"
        " --image-name ghcr.example/acme/site-dev:a1b2c3d --no-lockfile"
        " --platform linux/amd64,linux/arm64 --push --no-cache"
    )
    assert step.environment == (("DOCKER_CONFIG", "/c"),)


def test_an_older_cli_and_a_lockfile_of_the_user_are_left_their_way():
    assert "--no-lockfile" not in devcontainer(BUILD, Program(("npx", "cli"), (0, 86, 1))).argv
    assert "--no-lockfile" not in devcontainer(BUILD, Program(), is_pinned=True).argv


def test_images_of_other_builds_are_named_as_in_this_version():
    named = ("FROM --platform=linux/amd64 acme/base AS one", "from docker.io/acme/base:latest")
    text = "\n".join((*named, "# FROM acme/base", "FROM acme/base:2\n"))
    build = Build(("app",), "/src", "/src/Dockerfile", contexts=(("acme/base", "docker-image://r/b:1"), ("x", "/x")))
    assert has_own_dockerfile(build)
    assert dockerfile(build, text) == (
        "FROM --platform=linux/amd64 r/b:1 AS one\nfrom r/b:1\n# FROM acme/base\nFROM acme/base:2\n"
    )
    assert not has_own_dockerfile(BUILD)
