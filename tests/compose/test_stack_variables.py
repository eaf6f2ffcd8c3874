"""What tells a stack which one it is: for `${…}`, and in the main service's environment."""

from __future__ import annotations

import pytest

from kamal_dev import compose
from kamal_dev.compose import Additions, ComposeProject, stack_variables
from kamal_dev.model import Version
from tests.compose import support
from tests.compose.support import overlay_of, render, text_of

TEXT = "services:\n  app:\n    image: x\n    environment:\n      WHO: ${NODE_NAME}/${NODE_INDEX}\n  db: {image: y}\n"
OWN = stack_variables.values("shop-1", Version("v1"))


def load(text: str = TEXT, **options: object) -> ComposeProject:
    return support.load(text, own=OWN, **options)  # type: ignore[arg-type]


def _env(project: ComposeProject, **options: object) -> dict[str, str]:
    release = render(project, **options)  # type: ignore[arg-type]
    lines = text_of(release, ".env").splitlines()
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def _said(project: ComposeProject, extra: Additions | None = None) -> list[str]:
    return [str(notice) for notice in compose.notices(project, extra or Additions("shop", "app"))]


def test_each_stack_has_its_own_values_and_so_its_own_release() -> None:
    project = load("services: {app: {image: x, environment: [" + ", ".join(stack_variables.NAMES) + "]}}\n")
    env = _env(project, stack="shop-2", index=2, address="10.0.0.2", peers="shop-1=10.0.0.1 shop-3=10.0.0.3")
    assert {name: env[name] for name in stack_variables.NAMES} == {
        "DEV_PEERS": "shop-1=10.0.0.1 shop-3=10.0.0.3",
        "DEV_STACK": "shop-2",
        "DEV_VERSION": "v1",
        "NODE_ADDRESS": "10.0.0.2",
        "NODE_INDEX": "2",
        "NODE_NAME": "shop-2",
    }
    assert _env(project)["NODE_ADDRESS"] == stack_variables.UNKNOWN
    releases = [render(project, index=index, address=address) for index, address in ((1, "a"), (1, "a"), (1, "b"))]
    assert releases[0].digest == releases[1].digest != releases[2].digest
    assert _said(project) == []


def test_peers_change_the_release_of_those_that_mention_them_only() -> None:
    def digests(service: str, extra: Additions | None = None) -> set[str]:
        project = load(f"services: {{app: {{image: x, {service}}}}}\n")
        return {render(project, extra=extra, peers=peers).digest for peers in ("", "shop-2=a", "shop-2=a shop-3=b")}

    assert len(digests("command: sleep 1")) == 1
    assert len(digests("environment: [NODE_ADDRESS]")) == 1
    assert len(digests("environment: [DEV_PEERS]")) == 3
    assert len(digests("command: 'serve $${DEV_PEERS}'")) == 3
    assert len(digests("command: sleep 1", Additions("shop", "app", mentioned=frozenset({"DEV_PEERS"})))) == 3


def test_only_the_main_service_has_them_in_its_environment() -> None:
    overlay = overlay_of(render(load()))
    assert overlay.count("NODE_NAME") == 1
    assert "  db:" not in overlay


@pytest.mark.parametrize(
    ("text", "files", "line"),
    [
        ("services:\n  app:\n    image: x\n    environment: {NODE_NAME: mine}\n", {}, "compose.yaml:4"),
        ("services:\n  app:\n    image: x\n    environment: [NODE_NAME=mine]\n", {}, "compose.yaml:4"),
        (
            "services:\n  app:\n    image: x\n    env_file: a.env\n",
            {".devcontainer/a.env": "NODE_NAME=${MISSING:?}\n"},
            "compose.yaml:4",
        ),
    ],
)
def test_what_the_main_service_sets_itself_stands_and_is_told(text: str, files: dict[str, str], line: str) -> None:
    project = load(text, files=files, environment={"MISSING": "x"})
    overlay = overlay_of(render(project))
    assert "NODE_NAME" not in overlay
    assert _said(project) == [f".devcontainer/{line}: `NODE_NAME` is set here and overrides the value of the stack"]


def test_what_the_main_service_makes_of_a_value_itself_stands_and_needs_no_notice() -> None:
    project = load(
        "services: {app: {image: x, environment: {NODE_NAME: 'my-${NODE_NAME}', NODE_INDEX: $NODE_INDEX}}}\n"
    )
    overlay = overlay_of(render(project))
    assert "NODE_NAME" not in overlay and "NODE_INDEX" not in overlay
    assert _said(project) == []


@pytest.mark.parametrize("file", [".env", ".devcontainer/.env"])
@pytest.mark.parametrize("text", [TEXT, "services: {app: {image: x}}\n"])
def test_what_a_dotenv_file_sets_stands_for_the_files_and_the_main_service(file: str, text: str) -> None:
    project = load(text, files={file: "NODE_NAME=mine\n"})
    env = _env(project)
    assert env["NODE_NAME"] == "mine"
    assert ("NODE_INDEX" in env) == ("NODE_INDEX" in text)
    assert "NODE_NAME:" in overlay_of(render(project))
    assert _said(project) == [f"{file}: `NODE_NAME` is set here and overrides the value of the stack"]


@pytest.mark.parametrize(
    "text",
    [
        "services: {app: {image: x}, db: {image: y}}\n",
        "services: {app: {image: x, environment: {MY_NODE_NAME: a, NODE_NAMES: b}}, db: {image: y}}\n",
        "services: {app: {image: x}, db: {image: y, environment: {V: $DEV_VERSION}}}\n",
    ],
)
def test_the_main_service_has_none_that_nothing_of_it_mentions(text: str) -> None:
    release = render(load(text))
    assert not stack_variables.mentioned(overlay_of(release))
    assert ("DEV_VERSION=v1" in text_of(release, ".env")) == ("DEV_VERSION" in text)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("services: {app: {image: x, environment: [NODE_INDEX]}}\n", {}),
        ("services: {app: {image: x, command: 'serve --node $NODE_INDEX'}}\n", {}),
        ("services: {app: {image: x, command: sh -c 'serve $$NODE_INDEX'}}\n", {}),
        ("services: {app: {image: x, env_file: a.env}}\n", {".devcontainer/a.env": "WHO=${NODE_INDEX}\n"}),
        ("x-all: &all {environment: {WHO: $NODE_INDEX}}\nservices: {app: {<<: *all, image: x}}\n", {}),
    ],
)
def test_it_has_those_that_it_mentions_wherever_that_is(text: str, files: dict[str, str]) -> None:
    release = render(load(text, files=files))
    assert stack_variables.mentioned(overlay_of(release)) == {"NODE_INDEX"}
    assert "NODE_INDEX=1" in text_of(release, ".env").splitlines()


def test_it_has_those_that_devcontainer_json_mentions() -> None:
    extra = Additions(
        "shop", "app", mentioned=stack_variables.mentioned("echo $NODE_ADDRESS ${containerEnv:DEV_STACK}")
    )
    release = render(load("services: {app: {image: x}}\n"), extra=extra)
    assert stack_variables.mentioned(overlay_of(release)) == {"NODE_ADDRESS", "DEV_STACK"}


def test_a_version_is_in_no_release_that_does_not_mention_it() -> None:
    def digests(text: str) -> list[str]:
        return [render(load(text), version=Version(name, name)).digest for name in ("v1", "v2")]

    one, two = digests(TEXT)
    assert one == two
    one, two = digests(TEXT.replace("${NODE_INDEX}", "${DEV_VERSION}"))
    assert one != two


def test_container_env_and_secrets_of_that_name_stand() -> None:
    extra = Additions("shop", "app", environment=(("NODE_NAME", "mine"),), secrets=("NODE_INDEX",))
    overlay = overlay_of(render(load(), extra=extra))
    assert "NODE_NAME: mine" in overlay
    assert overlay.count("NODE_INDEX") == 1


def test_what_all_stacks_have_in_common_cannot_differ_between_them() -> None:
    project = load(
        """
services:
  app:
    image: x
    volumes:
      - ./${NODE_NAME}:/data
      - {type: bind, source: "../${DEV_STACK}", target: /other}
      - cache:/cache/${NODE_NAME}
    container_name: app-${NODE_INDEX}
    env_file: [{path: "${NODE_INDEX}.env", required: false}]
  db: {image: "y:${NODE_NAME}"}
  web: {build: {context: ., args: {WHICH: "$NODE_ADDRESS", VERSION: $DEV_VERSION}}}
  old: {image: "z:${DEV_VERSION}"}
volumes: {cache: {}}
"""
    )
    assert [(problem.line, problem.key) for problem in project.problems] == [
        (10, "services.app.env_file"),
        (6, "services.app.volumes"),
        (7, "services.app.volumes"),
        (11, "services.db.image"),
        (12, "services.web.build"),
    ]
    assert render(project).third_party[-1] == "z:v1"
