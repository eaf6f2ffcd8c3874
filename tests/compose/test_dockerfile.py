"""What a Dockerfile is made from: each case is what BuildKit itself asks a registry for."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kamal_dev.compose.dockerfile import images
from kamal_dev.compose.shell_word import Word, words
from kamal_dev.model import familiar
from tests.hosts import docker

# Nothing listens there, so that the builder names the image and gives up at once.
NOWHERE = "127.0.0.1:1"

CASES = {
    "plain": ("FROM R/base:7\n", {}, "base:7"),
    "through other arguments": (
        "ARG NS=R/acme\nARG TAG=7\nARG BASE=${NS}/base:${TAG}\nFROM ${BASE}\n",
        {},
        "acme/base:7",
    ),
    "several arguments on one line": ("ARG NAME=base TAG=7 HOST=R\nFROM $HOST/$NAME:$TAG\n", {}, "base:7"),
    "a build argument beats the default": ("ARG TAG=7\nFROM R/base:${TAG}\n", {"TAG": "8"}, "base:8"),
    "an argument that only a build gives": ("ARG TAG\nFROM R/base:${TAG}\n", {"TAG": "9"}, "base:9"),
    "an argument that is not declared": ("FROM R/base:${TAG:-none}\n", {"TAG": "8"}, "base:none"),
    "a default in place": ("ARG TAG\nFROM R/base:${TAG:-6}\n", {}, "base:6"),
    "an alternative": ("ARG SLIM=yes\nFROM R/base:7${SLIM:+-slim}\n", {}, "base:7-slim"),
    "quotes": ('ARG TAG="7" NAME=\'base\'\nFROM "R/${NAME}:${TAG}"\n', {}, "base:7"),
    "a continued line with a comment in it": ("FROM \\\n# why\n\n  R/base:7 \\\n  AS app\n", {}, "base:7"),
    "another escape character": ("# escape=`\nFROM `\n  R/base:7\n", {}, "base:7"),
    "a platform": ("FROM --platform=linux/amd64 R/base:7 AS app\n", {}, "base:7"),
    "lower case": ("arg TAG=7\nfrom R/base:${TAG} as App\nfrom app\n", {}, "base:7"),
    "tabs": ("FROM\tR/base:7\n", {}, "base:7"),
    "FROM in a heredoc is none": ("FROM R/base:7\nRUN <<EOT\nFROM R/other:1\nEOT\n", {}, "base:7"),
    "copied from an image": ("FROM scratch\nCOPY --chown=1:1 --from=R/tools:1 /a /a\n", {}, "tools:1"),
    "mounted from an image in quotes": (
        'FROM scratch\nRUN --mount=type=bind,"from=R/tools:1",target=/t true\n',
        {},
        "tools:1",
    ),
    "mounted from an image": ("FROM scratch\nRUN --mount=type=bind,from=R/tools:1,target=/t true\n", {}, "tools:1"),
    "a stage of that name comes later": ("FROM R/a AS b\nFROM b AS c\n", {}, "a:latest"),
    "an argument that a stage does not see": (
        "ARG TAG=7\nFROM scratch\nARG TAG\nRUN --mount=type=bind,from=R/tools:1,target=/t echo $TAG\n",
        {},
        "tools:1",
    ),
    "a suffix taken away": ("ARG TAG=7.1.2\nFROM R/base:${TAG%%.*}\n", {}, "base:7"),
    "a prefix taken away": ("ARG TAG=v7\nFROM R/base:${TAG#v}\n", {}, "base:7"),
}


@pytest.mark.parametrize(("text", "args", "expected"), CASES.values(), ids=CASES)
def test_the_image_is_found(text: str, args: dict[str, str], expected: str) -> None:
    assert set(map(familiar, images(_at(NOWHERE, text), args))) == {f"{NOWHERE}/{expected}"}


@pytest.mark.real
def test_a_real_builder_asks_for_the_same_images(tmp_path: Path) -> None:
    asked = {name: _asked(_at(NOWHERE, text), args, tmp_path) for name, (text, args, _) in CASES.items()}
    assert asked == {name: expected for name, (_, _, expected) in CASES.items()}


def _at(registry: str, text: str) -> str:
    return re.sub(r"\bR\b(?!UN)", registry, text)


def _asked(text: str, args: dict[str, str], folder: Path) -> str:
    (folder / "Dockerfile").write_text(text)
    given = [word for name, value in args.items() for word in ("--build-arg", f"{name}={value}")]
    words = [
        "docker",
        "buildx",
        "build",
        "--builder",
        docker("context", "show"),
        "--progress=plain",
        *given,
        str(folder),
    ]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(rf"load metadata for {re.escape(NOWHERE)}/(\S+)", done.stderr)
    return found[1] if found else done.stderr


def test_stages_and_nothing_are_no_images() -> None:
    text = "FROM a AS b\nFROM b\nCOPY --from=0 /x /x\nCOPY --from=b /x /x\nFROM scratch\nFROM c\n"
    assert images(text, {}) == {"a", "c"}


def test_what_the_builder_refuses_stays_as_it_is_written() -> None:
    assert images("FROM ${A\nFROM b\n", {}) == {"${A", "b"}
    assert images("FROM\nFROM --platform=x\n", {}) == frozenset()


def test_words_keep_their_quotes_and_their_spaces() -> None:
    assert [word.text for word in words("a='b c' d=\"e f\" g\\ h", "\\")] == ["a='b c'", 'd="e f"', "g\\ h"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("$A-${B:-b}", "1-b"),
        ("'$A'", "$A"),
        ('"$A \\$A"', "1 $A"),
        ("${A:?needed}", "1"),
        ("${EMPTY-x}${EMPTY:-y}", "y"),
        ("${LONG##*.}", "c"),
        ("${LONG#*.}", "b.c"),
        ("${LONG%.*}", "a.b"),
        ("${LONG//./-}", "a-b-c"),
        ("${LONG/./-}", "a-b.c"),
        ("$", "$"),
        ("${A", "${A"),
    ],
)
def test_a_word_is_resolved(written: str, meant: str) -> None:
    assert Word(written).expanded({"A": "1", "EMPTY": "", "LONG": "a.b.c"}.get) == meant
