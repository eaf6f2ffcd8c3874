import pytest

from kamal_dev.compose.rewrite import spliced

IMAGES = {"app": "r/app:v1", "b": "r/b:v1"}


def _after(text: str) -> str:
    return spliced(text, "compose.yaml", IMAGES)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("services:\n  app:\n    build: .\n", "services:\n  app:\n    image: r/app:v1\n"),
        ("services:\n  app:\n    build: .", "services:\n  app:\n    image: r/app:v1"),
        ("services:\n  app:\n    build:\n      context: .", "services:\n  app:\n    image: r/app:v1"),
        ("services:\n  app:\n    image: x\n    build: .", "services:\n  app:\n    image: r/app:v1"),
        ("services:\r\n  app:\r\n    image: x\r\n    build: .", "services:\r\n  app:\r\n    image: r/app:v1"),
        ("services:\n  app:\n    'build' : .  #c\n", "services:\n  app:\n    image: r/app:v1  #c\n"),
        ("services:\n  app:\n    build: \n      context: .\n", "services:\n  app:\n    image: r/app:v1\n"),
        ("services:\n  app:\n    build: &x !t  # c\n      a: b\n", "services:\n  app:\n    image: r/app:v1  # c\n"),
        (
            "services:\r\n  app:\r\n    build:  # c\r\n      a: b\r\n\r\n    tty: true\r\n",
            "services:\r\n  app:\r\n    image: r/app:v1  # c\r\n\r\n    tty: true\r\n",
        ),
        (
            "services:\n  app:\n    image:\n    build:\n      context: .\n    tty: true\n",
            "services:\n  app:\n    image: r/app:v1\n    tty: true\n",
        ),
        (
            "services:\n  app:\n    build: {context: .,\n      target: x} # c\n    image: >-\n      some/thing\n"
            "    tty: true\n",
            "services:\n  app:\n    image: r/app:v1\n    tty: true\n",
        ),
        (
            "services:\n  app:\n    build:\n      dockerfile_inline: |+\n        FROM x\n\n\n    tty: true\n",
            "services:\n  app:\n    image: r/app:v1\n\n\n    tty: true\n",
        ),
        ("services: {app: {build: .}}\n", "services: {app: {image: r/app:v1}}\n"),
        ("services: {app: {image: , build: .}}\n", "services: {app: {image: r/app:v1}}\n"),
        ("services: {app: {build: ., image: }}\n", "services: {app: {image: r/app:v1 }}\n"),
        ("services:\n  app: &a\n    build: .\n  b: *a\n", "services:\n  app: &a\n    image: r/app:v1\n  b: *a\n"),
        (
            "services:\n  app:\n    build: &x {context: .}\n  b:\n    build: *x\n",
            "services:\n  app:\n    image: r/app:v1\n  b:\n    image: r/b:v1\n",
        ),
    ],
)
def test_a_build_becomes_an_image_and_nothing_else_changes(before: str, after: str) -> None:
    assert _after(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "services:\n  other:\n    build: .\n",
        "services:\n  app:\n    tty: true\n",
        "x: &s\n  app: {build: .}\nservices: *s\n",
        "x: &a {build: .}\nservices:\n  app: *a\n",
        "services:\n  app:\n    <<: {build: .}\n",
        "services:\n  app:\n    ? build\n    : .\n",
        "services:\n  app:\n    ? image\n    : x\n    ? build\n    : .\n",
        "services:\n  app: &a {build: .}\nx-copy: *a\n",
        "services:\n  app:\n    build: &x {context: .}\nx-same: *x\n",
        "services:\n  app:\n    build: .\n    image: &n x\n    labels: {a: *n}\n",
        "[a, b]\n",
        "services: [app]\n",
        "version: '3'\n",
    ],
)
def test_what_a_splice_cannot_do_alone_is_left_to_the_overlay(text: str) -> None:
    assert _after(text) == text


def test_a_needed_anchor_keeps_those_that_it_needs() -> None:
    text = (
        "services:\n  app:\n    build: &x\n      args: &y {A: 1}\n    environment: *y\n"
        "  b:\n    build:\n      args: *y\n    image: z\n"
    )
    after = _after(text)
    assert after == text[: text.index("  b:")] + "  b:\n    image: r/b:v1\n"


def test_documents_are_rewritten_each() -> None:
    text = "services: {app: {build: .}}\n---\n# two\nservices:\n  app:\n    build: {target: x}\n"
    assert _after(text) == "services: {app: {image: r/app:v1}}\n---\n# two\nservices:\n  app:\n    image: r/app:v1\n"
