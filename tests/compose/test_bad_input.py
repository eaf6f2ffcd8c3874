"""Files that no one should meet: each is an error with file and line, soon and without much memory."""

from __future__ import annotations

import tracemalloc

import pytest

from kamal_dev.errors import ComposeError
from tests.bounds import within
from tests.compose.support import DEFAULT, load, overlay_of, render, text_of

BOMB = (
    "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "services:\n  app: {image: x, labels: *i}\n"
)
DEEP = "services: {app: {image: x, x-deep: " + "[" * 20_000 + "]" * 20_000 + "}}\n"
WIDE = "services:\n  app:\n    image: x\n    labels:\n" + "".join(f"      a{n}: b\n" for n in range(30_000))

REFUSED = {
    "an empty file": ("", "is empty"),
    "a file of comments": ("# nothing\n\n", "is empty"),
    "text that is no mapping": ("services", ":1: a compose file must be a mapping"),
    "a list": ("- services\n", ":1: a compose file must be a mapping"),
    "a tab as indentation": ("services:\n\tapp:\n", ":2:1: has a tab where YAML requires spaces"),
    "latin-1": ("services:\n  app: {image: caf\xe9}\n".encode("latin-1"), ":2:19: byte 0xe9 is not UTF-8"),
    "UTF-16": ("services: {}".encode("utf-16"), ":1:1: byte 0xff is not UTF-8"),
    "a control character": ("services:\n  app: {image: a\x07b}\n", ":2: contains the control character"),
    "a key twice": ("services:\n  app:\n    image: a\n    image: b\n", ":4:5: `image` is already defined in line 3"),
    "a service twice": (
        "services:\n  app: {image: a}\n  app: {image: b}\n",
        ":3:3: `app` is already defined in line 2",
    ),
    "a key that is a list": ("services:\n  ? [a]\n  : {image: b}\n", ":2:5: a key must be text"),
    "an alias bomb": (BOMB, "grows to more than 100000 nodes"),
    "an alias to itself": ("x: &x {y: *x}\nservices: {app: {image: x}}\n", ":1:11: the alias `*x` is inside of"),
    "an alias to nothing": ("services:\n  app: *app\n", ":2:8: the alias `*app` has no anchor before it"),
    "nesting 20,000 deep": (DEEP, ":1:134: is nested more than 100 levels deep"),
    "60,000 nodes": (WIDE, "has more than 20000 nodes"),
    "two megabytes": ("# " + "x" * 2_000_000 + "\n", "has 2000003 characters; at most 1048576 are read"),
    "a python object": (
        "services:\n  app: !!python/object:os.system {}\n",
        ":2:8: the tag `!!python/object:os.system`",
    ),
    "broken flow": ("services: {app: [}\n", ":1:18: is not YAML"),
    "services that are null": ("services:\n", ":1:1: services: must be a mapping"),
    "a service that is null": ("services:\n  app:\n", ":2:3: services.app: must be a mapping"),
    "a service that is text": ("services: {app: x}\n", "services.app: must be a mapping"),
    "a build that is null": ("services:\n  app:\n    build:\n", ":3:5: services.app.build: must be a path or"),
    "a build that is a list": ("services:\n  app:\n    build: []\n", ":3:12: services.app.build: must be a path or"),
    "a build that is empty": ("services:\n  app:\n    build: ''\n", "services.app.build: has no folder"),
    "a build key that is unknown": (
        "services:\n  app:\n    build:\n      wat: 1\n",
        ":4:7: services.app.build.wat: is not a Compose key",
    ),
    "dockerfile and dockerfile_inline": (
        "services:\n  app:\n    build: {dockerfile: a, dockerfile_inline: FROM b}\n",
        ":3:47: services.app.build: has both `dockerfile` and `dockerfile_inline`",
    ),
    "a required variable": (
        "services:\n  app:\n    image: ${IMG:?set it}\n",
        ":3:12: the required variable `IMG` has no value: set it",
    ),
    "half a variable": ("services:\n  app:\n    image: ${IMG\n", ":3:12: `${IMG` is not a variable"),
    "a name in another script": (
        "services:\n  \u05d0\u05d1:\n    image: x\n",
        "`\u05d0\u05d1` is not a name",
    ),
    "a name with a space": ("services:\n  a b:\n    image: x\n", ":2:3: services.a b: `a b` is not a name"),
    "volumes that are text": ("services:\n  app: {image: x, volumes: .}\n", "services.app.volumes: must be a list"),
    "an env_file outside": (
        "services:\n  app:\n    image: x\n    env_file: ../../../etc/passwd\n",
        ":4:15: services.app.env_file: `/etc/passwd`: no such file",
    ),
    "an env_file that is missing": (
        "services:\n  app:\n    image: x\n    env_file: [a.env]\n",
        ":4:16: services.app.env_file: `.devcontainer/a.env`: no such file",
    ),
    "a merge of text": ("services:\n  app:\n    <<: text\n", ":3: `<<` merges a mapping"),
}


def refuse(text: str | bytes) -> None:
    """Raise what a deploy of this file would raise before it builds anything."""
    if problems := load(text).problems:
        raise ComposeError(problems)


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_an_error_with_its_line(text: str | bytes, message: str) -> None:
    with within(2), pytest.raises(ComposeError) as caught:
        refuse(text)
    assert message in str(caught.value)
    assert str(caught.value).startswith(DEFAULT)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", [BOMB, DEEP], ids=["bomb", "deep"])
def test_a_bomb_stays_small(text: str) -> None:
    tracemalloc.start()
    with pytest.raises(ComposeError):
        load(text)
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


def test_every_problem_of_a_kind_is_told_at_once() -> None:
    with pytest.raises(ComposeError) as caught:
        load("services:\n  app: {image: a, image: b}\n  db: {image: !!python/name:x y, image: c}\n")
    assert [problem.line for problem in caught.value.problems] == [2, 3, 3]


def test_a_file_outside_the_repository_is_refused() -> None:
    with pytest.raises(ComposeError) as caught:
        load(names=("../other/compose.yaml",))
    assert "is outside the repository" in str(caught.value)
    assert "move the file" in caught.value.hint


def test_a_link_that_leaves_the_repository_is_refused() -> None:
    with pytest.raises(ComposeError) as caught:
        load(names=("compose.yaml",), links={"compose.yaml": "/etc/compose.yaml"})
    assert "is outside the repository" in str(caught.value)


def test_an_env_file_behind_a_link_that_leaves_the_repository_is_refused() -> None:
    with pytest.raises(ComposeError) as caught:
        load(
            "services:\n  app:\n    image: x\n    env_file: linked.env\n",
            links={".devcontainer/linked.env": "/etc/passwd"},
            files={"/etc/passwd": "root\n"},
        )
    assert "compose.yaml:4:15: `.devcontainer/linked.env` is outside the repository" in str(caught.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ComposeError, match="`compose\\.yaml`: no such file"):
        load(names=("compose.yaml",))


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(ComposeError, match="no compose file is given"):
        load(names=())


def test_a_byte_order_mark_and_windows_line_ends_stay() -> None:
    text = "\ufeffservices:\r\n  app:\r\n    build: .\r\n    tty: true"
    release = render(load(text))
    assert (
        text_of(release, DEFAULT)
        == "\ufeffservices:\r\n  app:\r\n    image: registry.example/acme/app:v1\r\n    tty: true"
    )


def test_a_tag_that_is_not_known_changes_nothing() -> None:
    release = render(load("services:\n  app:\n    image: !mine alpine\n"))
    assert "!mine alpine" in text_of(release, DEFAULT)


def test_an_explicit_type_is_read() -> None:
    project = load("services:\n  app: {image: !!str 5, tty: !!bool true}\n")
    assert project.service("app").image == "5"
    assert "image" not in overlay_of(render(project))
