from pathlib import Path

import pytest

from kamal_dev import compose
from kamal_dev.errors import ComposeError
from kamal_dev.model import BuildSecret, Image, familiar
from tests.compose import oracle
from tests.compose.support import images, load, render, text_of

EVERYTHING = """
services:
  app:
    platform: linux/arm64
    build:
      context: ..
      dockerfile: .devcontainer/Dockerfile
      target: dev
      args: {A: 1, B: null, IN_ENV_FILE: null, NOWHERE: null}
      additional_contexts:
        - assets=../assets
        - base=docker-image://alpine:3
        - other=service:tool
        - third=service:third
      cache_from: ["type=registry,ref=x", y]
      cache_to: ["type=inline"]
      secrets:
        - token
        - {source: key, target: the_key, mode: 0400}
      ssh: [default, git=./key]
      network: host
      extra_hosts: ["a:10.0.0.1", "b=::1"]
      shm_size: 1gb
      labels: {l: "1"}
      pull: true
      no_cache: true
      privileged: true
      entitlements: [network.host]
      ulimits: {nproc: 5, nofile: {soft: 1, hard: 2}}
      isolation: default
      tags: [a:b]
      x-bake: {a: b}
  tool:
    build: {context: .}
  third:
    image: redis:7
secrets:
  token: {environment: TOKEN}
  key: {file: ./key}
"""


def test_every_key_of_a_build_is_applied_or_noticed() -> None:
    project = load(
        EVERYTHING,
        files={".devcontainer/.env": "IN_ENV_FILE=from file\n", "assets/a": ""},
        environment={"B": "of the process"},
    )
    tool, app = project.builds
    assert tool.services == ("tool",)
    assert app.context == "/src/shop"
    assert app.dockerfile == "/src/shop/.devcontainer/Dockerfile"
    assert app.target == "dev"
    assert app.args == (("A", "1"), ("B", "of the process"), ("IN_ENV_FILE", "from file"))
    assert app.contexts == (
        ("assets", "/src/shop/assets"),
        ("base", "docker-image://alpine:3"),
        ("other", "service:tool"),
        ("third", "docker-image://redis:7"),
    )
    assert app.cache_from == ("type=registry,ref=x", "y")
    assert app.cache_to == ("type=inline",)
    assert app.secrets == (
        BuildSecret("token", environment="TOKEN"),
        BuildSecret("the_key", file="/src/shop/.devcontainer/key"),
    )
    assert app.ssh == ("default", "git=/src/shop/.devcontainer/key")
    assert app.platforms == ("linux/arm64",)
    words = "--network host --shm-size 1gb --pull --no-cache --allow security.insecure --allow network.host --label l=1"
    words += " --add-host a:10.0.0.1 --add-host b:::1 --ulimit nproc=5 --ulimit nofile=1:2"
    assert app.options == tuple(words.split())
    assert [str(notice).split(": ", 1)[1] for notice in project.notices] == [
        "services.app.build.args: `NOWHERE` has no value: the default of the Dockerfile is used",
        "services.app.build.secrets: `uid`, `gid` and `mode` have no effect in a build",
        "services.app.build.isolation: is for Windows containers and has no effect in buildx",
        "services.app.build.tags: are ignored: the image is only tagged with its version",
        "services.app.build.x-bake: is ignored: images are built by `docker buildx build`",
    ]


def test_the_other_forms_of_a_key_mean_the_same() -> None:
    (build,) = load(
        """
services:
  app:
    build:
      ssh: {default: null, git: ./key}
      extra_hosts: {a: 10.0.0.1}
      cache_from: one
      platforms: [linux/amd64, linux/arm64]
      labels: [a=b]
      args: [A=1, B]
      additional_contexts: {assets: ../assets}
"""
    ).builds
    assert build.ssh == ("default", "git=/src/shop/.devcontainer/key")
    assert build.options == ("--label", "a=b", "--add-host", "a:10.0.0.1")
    assert build.cache_from == ("one",)
    assert build.platforms == ("linux/amd64", "linux/arm64")
    assert build.args == (("A", "1"),)
    assert build.contexts == (("assets", "/src/shop/assets"),)


@pytest.mark.parametrize(
    "url", ["https://github.com/acme/shop.git#main:docker", "git@github.com:acme/shop.git", "github.com/acme/shop"]
)
def test_a_context_elsewhere_stays_what_it_is(url: str) -> None:
    project = load(f"services:\n  app:\n    build: {{context: '{url}', dockerfile: a/Dockerfile}}\n")
    assert project.builds[0].context == url
    assert project.builds[0].dockerfile == "a/Dockerfile"
    assert project.problems == ()


def test_what_cannot_be_built_is_a_problem_but_can_be_read() -> None:
    project = load(
        """
services:
  app: {build: ./nowhere}
  one: {build: {context: ., dockerfile: Missing}}
  two: {build: ../../other}
  three: {build: ../linked}
""",
        files={"../other/Dockerfile": "FROM x\n", "/elsewhere/Dockerfile": "FROM x\n"},
        links={"linked": "/elsewhere"},
    )
    assert [str(problem) for problem in project.problems] == [
        ".devcontainer/compose.yaml:3:16: services.app.build: the folder `.devcontainer/nowhere` does not exist",
        ".devcontainer/compose.yaml:4:41: services.one.build: the Dockerfile `.devcontainer/Missing` does not exist",
        ".devcontainer/compose.yaml:5:16: services.two.build: `/src/other` is outside the repository,"
        " so the version does not cover it: move it into the repository, or use `--allow-outside`",
        ".devcontainer/compose.yaml:6:18: services.three.build: `/src/shop/linked` is outside the repository,"
        " so the version does not cover it: move it into the repository, or use `--allow-outside`",
    ]


def test_equal_builds_are_made_once() -> None:
    project = load("services:\n  app: {build: .}\n  b: {build: {context: ./}}\n  c: {build: {context: ., target: x}}\n")
    assert [build.services for build in project.builds] == [("app", "b"), ("c",)]


def test_a_build_comes_after_those_that_it_needs() -> None:
    project = load(
        """
services:
  app: {build: {context: ., additional_contexts: [x=service:middle]}}
  middle: {build: {context: ., target: m, additional_contexts: [x=service:base]}}
  base: {build: {context: ., target: b}}
"""
    )
    assert [build.services[0] for build in project.builds] == ["base", "middle", "app"]


def test_a_build_from_itself_is_refused() -> None:
    with pytest.raises(ComposeError, match=r"compose.yaml:3:? ?`app` is built from itself"):
        load(
            """
services:
  app: {build: {context: ., additional_contexts: [x=service:b]}}
  b: {build: {context: .., additional_contexts: [x=service:app]}}
"""
        )


def test_a_context_of_an_unknown_service_is_refused() -> None:
    with pytest.raises(ComposeError, match="`ghost` in `additional_contexts` is not a service"):
        load("services:\n  app: {build: {context: ., additional_contexts: [x=service:ghost]}}\n")


@pytest.mark.parametrize(
    ("secrets", "message"),
    [
        ("{}", "services.app.build.secrets: `token` is not a secret of this project"),
        ("{token: {external: true}}", "secrets.token: a build takes a secret from `file` or `environment`"),
    ],
)
def test_a_build_secret_must_be_known(secrets: str, message: str) -> None:
    with pytest.raises(ComposeError) as caught:
        load(f"services:\n  app: {{build: {{context: ., secrets: [token]}}}}\nsecrets: {secrets}\n")
    assert message in str(caught.value)


def test_every_wrong_build_is_told_at_once() -> None:
    with pytest.raises(ComposeError) as caught:
        load("services:\n  app: {build: {wat: 1}}\n  b: {build: ''}\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3]


def test_an_image_that_another_build_makes_is_handed_over() -> None:
    project = load(
        """
services:
  app:
    build: {context: ., dockerfile: Dockerfile, args: {BASE: shop/base}}
  base:
    image: shop/base:latest
    build: ../base
  copies:
    build: {dockerfile_inline: "FROM scratch AS one\\nCOPY --from=shop/base /a /\\nCOPY --from=one /b /"}
  unrelated:
    build: {dockerfile_inline: "FROM alpine AS shop/base\\nFROM shop/base"}
""",
        files={
            ".devcontainer/Dockerfile": "ARG BASE=alpine\nFROM --platform=linux/amd64 ${BASE}\n",
            "base/Dockerfile": "FROM x",
        },
    )
    assert {build.services[0]: build.contexts for build in project.builds} == {
        "base": (),
        "app": (("shop/base:latest", "service:base"),),
        "copies": (("shop/base:latest", "service:base"),),
        "unrelated": (),
    }
    made = compose.with_images(project.builds, images(project))
    by_name = {build.services[0]: build for build in made}
    assert by_name["app"].contexts == (("shop/base:latest", "docker-image://registry.example/acme/base:v1"),)
    assert by_name["app"].image == Image("registry.example", "acme/app", "v1")


def test_a_service_that_names_the_image_of_a_build_runs_it() -> None:
    project = load("services:\n  app: {build: ., image: docker.io/library/shop}\n  b: {image: shop, command: x}\n")
    assert project.service("b").built_as == "app"
    release = render(project)
    assert dict(release.images)["b"] == dict(release.images)["app"]
    assert release.third_party == ()
    assert "b: {image: shop, command: x}" in text_of(release, ".devcontainer/compose.yaml")


def test_the_same_image_has_several_spellings() -> None:
    spellings = ["redis", "redis:latest", "library/redis", "docker.io/redis", "index.docker.io/library/redis:latest"]
    assert {familiar(name) for name in spellings} == {"redis:latest"}
    assert familiar("localhost:5000/a") == "localhost:5000/a:latest"
    assert familiar("a@sha256:1") == "a@sha256:1"


def test_compose_sees_the_same_builds(tmp_path: Path) -> None:
    folder = tmp_path / "shop" / ".devcontainer"
    folder.mkdir(parents=True)
    text = EVERYTHING.replace("        - other=service:tool\n        - third=service:third\n", "")
    newer = ("ssh:", "entitlements:")
    text = "".join(line for line in text.splitlines(keepends=True) if not line.strip().startswith(newer))
    (folder / "compose.yaml").write_text(text)
    section = oracle.configured(folder)["services"]["app"]["build"]
    build = next(build for build in load(text).builds if build.services == ("app",))
    here = str(tmp_path / "shop")
    assert section["context"].replace(here, "/src/shop") == build.context
    assert section["target"] == build.target
    assert {key: path.replace(here, "/src/shop") for key, path in section["additional_contexts"].items()} == dict(
        build.contexts
    )
    assert section["cache_from"] == list(build.cache_from)
