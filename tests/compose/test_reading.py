import pytest

from kamal_dev.errors import ComposeError
from tests.compose.support import load, overlay_of, render, text_of


def _refusal(text: str, **options) -> str:
    with pytest.raises(ComposeError) as caught:
        load(text, **options)
    return str(caught.value)


def test_the_project_directory_is_that_of_the_first_file() -> None:
    project = load(
        "services: {app: {image: x}}\n",
        names=("compose.yaml", "deploy/more.yaml"),
        files={"deploy/more.yaml": "services: {app: {build: ./src}}\n", "src/Dockerfile": "FROM x\n"},
    )
    assert project.builds[0].context == "/src/shop/src"
    assert [file.role for file in project.files] == ["top", "top"]


def test_a_later_file_wins_key_by_key() -> None:
    project = load(
        """
services:
  app:
    image: one
    command: [a, b]
    labels: [a=1, b=1]
    deploy: {labels: [x=1], replicas: 1}
    networks: [front]
    cap_add: [A, B]
    dns: 1.1.1.1
    environment: {GONE: 1, TAKEN: 1}
  db: {image: postgres}
networks: {front: {}, back: {}}
x-a: {b: 1}
""",
        names=("one.yaml", "two.yaml"),
        files={
            "two.yaml": """
services:
  app:
    command: [c]
    labels: {b: 2, c: null}
    deploy: {labels: {y: 1}}
    networks: {back: {aliases: [x]}}
    cap_add: [B, C]
    dns: [2.2.2.2]
    image:
    environment: [TAKEN]
  db: !reset null
  new: {image: x}
x-a: {c: 1}
"""
        },
    )
    app = project.model.at("services", "app").plain()
    assert app == {
        "image": "one",
        "command": ["c"],
        "labels": {"a": "1", "b": 2, "c": None},
        "deploy": {"labels": {"x": "1", "y": 1}, "replicas": 1},
        "networks": {"front": None, "back": {"aliases": ["x"]}},
        "cap_add": ["A", "B", "C"],
        "dns": ["1.1.1.1", "2.2.2.2"],
        "environment": {"GONE": 1, "TAKEN": None},
    }
    assert [service.name for service in project.services] == ["app", "new"]
    assert project.model.at("x-a").plain() == {"c": 1}


def test_reset_and_override_take_away_what_was_before() -> None:
    project = load(
        "services:\n  app:\n    image: x\n    build: .\n    environment: {A: 1}\n    ports: [80]\n",
        names=(".devcontainer/compose.yaml", "two.yaml"),
        files={
            "two.yaml": "services:\n  app:\n    build: !reset\n    environment: !override {B: 2}\n"
            "    ports: !reset []\n    dns: [!reset a, b]\n"
        },
    )
    assert project.builds == ()
    assert project.model.at("services", "app").plain() == {"image": "x", "environment": {"B": 2}, "dns": ["b"]}


def test_whole_services_can_be_replaced() -> None:
    project = load(
        "services: {app: {image: x}, db: {image: y}}\n",
        names=("one.yaml", "two.yaml"),
        files={"two.yaml": "services: !override {app: {image: z}}\n"},
    )
    assert [service.image for service in project.services] == ["z"]


def test_a_reset_beside_a_merge_key_does_not_keep_out_what_the_merge_brings() -> None:
    project = load("x-b: &b {build: .}\nservices:\n  app:\n    <<: *b\n    build: !reset null\n    image: x\n")
    assert project.service("app").has_build
    assert "build: !reset null" in overlay_of(render(project))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services:\n  app: {extends: app}\n", "compose.yaml:2:18: `app` extends itself"),
        ("services:\n  app: {extends: b}\n  b: {extends: {service: app}}\n", "extends itself"),
        ("services:\n  app: {extends: ghost}\n", ":2:18: extends `ghost`, which is not a service in .devcontainer/"),
        ("services:\n  app:\n    extends: {file: no.yaml, service: x}\n", ":3:14: `.devcontainer/no.yaml`: no such"),
        (
            "services:\n  app: {extends: {file: other.yaml, service: y}}\n",
            "which is not a service in .devcontainer/other",
        ),
        ("services:\n  app: {extends: {file: 'https://x/y.yaml', service: y}}\n", "is not a file in the repository"),
        ("include: other.yaml\nservices: {}\n", ":1:10: `include` must be a list"),
        ("include: [no.yaml]\nservices: {}\n", ":1:11: `.devcontainer/no.yaml`: no such file"),
        ("include: [{env_file: x}]\nservices: {}\n", ":1:11: `include` has no `path`"),
        ("include: [compose.yaml]\nservices: {}\n", "`.devcontainer/compose.yaml` includes itself"),
        ("include: [loop.yaml]\nservices: {}\n", "`.devcontainer/compose.yaml` includes itself"),
        ("include: ['git@github.com:a/b.git']\nservices: {}\n", "is not a file in the repository"),
        (
            "include: [other.yaml]\nservices:\n  x: {image: b}\n",
            ":3:6: `services.x` is also defined in .devcontainer/other",
        ),
        (
            "include: [{path: other.yaml, env_file: no.env}]\nservices: {}\n",
            ":1:11: `.devcontainer/no.env`: no such file",
        ),
        ("include: [folder]\nservices: {}\n", ":1:11: `.devcontainer/folder`: "),
    ],
)
def test_what_reaches_nowhere_is_refused_with_its_line(text: str, message: str) -> None:
    files = {
        ".devcontainer/other.yaml": "services:\n  x: {image: a}\n",
        ".devcontainer/loop.yaml": "include: [compose.yaml]\n",
        ".devcontainer/folder/x": "",
    }
    assert message in _refusal(text, files=files)


def test_an_included_file_that_says_the_same_is_no_conflict() -> None:
    project = load(
        "include: [other.yaml, other.yaml]\nservices:\n  x: {image: a}\nvolumes: {}\n",
        files={".devcontainer/other.yaml": "services:\n  x: {image: a}\nvolumes: {data: {}}\n"},
    )
    assert [service.name for service in project.services] == ["x"]
    assert "data" in project.model.at("volumes").items


def test_an_empty_include_is_nothing() -> None:
    assert load("include:\nservices: {app: {image: x}}\n").service("app").image == "x"


def test_an_included_project_has_its_own_variables() -> None:
    project = load(
        "include: [{path: part/compose.yaml}]\nservices: {app: {image: 'a:${TAG}'}}\n",
        files={
            ".devcontainer/part/compose.yaml": "services: {db: {image: 'b:${TAG}', volumes: ['./${TAG}:/$TAG']}}\n",
            ".devcontainer/part/.env": "TAG=inner-${OUTER}\n",
        },
        environment={"OUTER": "1"},
    )
    assert project.service("db").image == "b:inner-1"
    assert project.service("app").image == "a:"
    assert dict(project.values) == {"OUTER": "1"}
    assert '"~/.kamal-dev/shop-1/workspace/shop/.devcontainer/part/inner-1:/inner-1"' in overlay_of(render(project))
    assert [str(notice) for notice in project.notices if "TAG" in str(notice)] == []


def test_a_file_that_is_included_and_named_is_one_of_the_named() -> None:
    project = load(
        "include: [other.yaml]\nservices: {app: {image: x}}\n",
        names=(".devcontainer/compose.yaml", ".devcontainer/other.yaml"),
        files={".devcontainer/other.yaml": "services: {db: {build: .}}\n"},
    )
    assert [file.role for file in project.files] == ["top", "top"]
    assert "image:" in text_of(render(project), ".devcontainer/other.yaml")


def test_what_an_extending_file_leaves_out_starts_from_its_own_folder() -> None:
    base = "services: {base: {image: x, extends: {file: in/more.yaml, service: more}}}"
    project = load(
        "services:\n  app: {extends: {file: part/base.yaml, service: base}, build: {target: x}}\n",
        files={
            ".devcontainer/part/base.yaml": base,
            ".devcontainer/part/in/more.yaml": "services:\n  more: {volumes: ['./here:/here']}\n",
        },
    )
    assert project.builds[0].context == "/src/shop/.devcontainer"
    assert project.binds[0].source.as_posix() == "/src/shop/.devcontainer/part/in/here"
    assert [file.role for file in project.files] == ["top", "extended", "extended"]


def test_an_extended_file_without_services_has_none() -> None:
    text = "services:\n  app: {extends: {file: none.yaml, service: x}}\n"
    message = _refusal(text, files={".devcontainer/none.yaml": "volumes: {}\n"})
    assert "extends `x`, which is not a service in .devcontainer/none.yaml" in message


def test_merge_keys_merge_the_first_first() -> None:
    project = load(
        """
x-a: &a {image: a, tty: true}
x-b: &b {image: b, init: true}
services:
  app:
    <<: [*a, *b]
    init: false
"""
    )
    assert project.model.at("services", "app").plain() == {"image": "a", "tty": True, "init": False}


def test_the_name_is_that_of_the_environment_the_files_or_the_folder() -> None:
    text = "services: {app: {image: '$COMPOSE_PROJECT_NAME'}}\n"
    assert load(text).name == "devcontainer"
    assert load("name: My.Shop_1\n" + text).service("app").image == "myshop_1"
    assert load("name: x\n" + text, environment={"COMPOSE_PROJECT_NAME": "Y"}).name == "y"


def test_a_service_with_nothing_in_it_adds_nothing() -> None:
    project = load(
        "services: {app: {image: x}}\n",
        names=("one.yaml", "two.yaml", "three.yaml"),
        files={"two.yaml": "services:\n  app:\n    # all of it is a comment\n", "three.yaml": "# nothing\n"},
    )
    assert [(service.name, service.image) for service in project.services] == [("app", "x")]
