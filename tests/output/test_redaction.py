"""No encoding of a secret comes through any way out."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

import click
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.console import Console

from kamal_dev.cli import common
from kamal_dev.cli.exit import guarded
from kamal_dev.errors import ConfigError, DevError, HostError, Problem
from kamal_dev.model import REDACTED, Secret
from kamal_dev.output import Event, Output
from kamal_dev.output.live import LiveView
from kamal_dev.output.ndjson import Ndjson
from kamal_dev.output.plain import Plain
from kamal_dev.output.redaction import SHORTEST, Redaction

SECRET = 'p@ss "word"/ünd$more\\é'


def _core(before: bytes, secret: bytes, after: bytes, alphabet: bytes | None = None) -> tuple[str, str]:
    """Return base64 of a secret inside something, and the characters that the secret alone decides."""
    text = base64.b64encode(before + secret + after, alphabet).decode()
    start = -(-len(before) * 8 // 6)
    return text, text[start : (len(before) + len(secret)) * 8 // 6]


Encoding = Callable[[str, bytes, bytes], tuple[str, str]]
ENCODINGS: Mapping[str, Encoding] = {
    "raw": lambda secret, before, after: (f"x {secret} y", secret),
    "base64": lambda secret, before, after: _core(before, secret.encode(), after),
    "base64 for URLs": lambda secret, before, after: _core(before, secret.encode(), after, b"-_"),
    "URL": lambda secret, before, after: (f"?a={quote(secret, safe='')}&", quote(secret, safe="")),
    "path of a URL": lambda secret, before, after: (f"/{quote(secret)}/", quote(secret)),
    "form": lambda secret, before, after: (f"a={quote_plus(secret)}", quote_plus(secret)),
    "JSON": lambda secret, before, after: (json.dumps({"a": secret}), json.dumps(secret)[1:-1]),
    "JSON in UTF-8": lambda secret, before, after: (
        json.dumps([secret], ensure_ascii=False),
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ),
    "shell": lambda secret, before, after: (f"a {shlex.quote(secret)} b", shlex.quote(secret).strip("'")),
    "compose": lambda secret, before, after: (f"A: {secret.replace('$', '$$')}", secret.replace("$", "$$")),
}


def _said(way: str, text: str, redaction: Redaction) -> str:
    """Say a text in one way that the program has, and return what arrives."""
    arrived = io.StringIO()
    if way in ("plain", "ndjson", "terminal"):
        show: Callable[[Event], None] = {
            "plain": lambda: Plain(arrived),
            "ndjson": lambda: Ndjson(arrived),
            "terminal": lambda: LiveView(Console(file=arrived, width=10_000)),
        }[way]()
        output = Output(show, redaction=redaction, verbose=True)
        for tell in (output.start, output.done, output.skip, output.line):
            tell("hook", text)
        for say in (output.warn, output.info):
            say(text, hint=text)
        output.step(text)
        output.fail("hook", HostError("h", text, hint=text, left_behind=text), "h", log=[text])
        return arrived.getvalue()

    @click.command()
    @click.pass_context
    def told(context: click.Context) -> None:
        context.obj.within([])
        {
            "stdout": lambda: common.show(text),
            "report": lambda: common.print_json({"a": [{text: text}], "n": 1}),
            "error": lambda: _raise(HostError("h", text, hint=text, left_behind=text)),
            "problem": lambda: _raise(ConfigError([Problem("f", 1, text), Problem("f", 2, text)])),
            "defect": lambda: _raise(RuntimeError(text)),
            "usage": lambda: _raise(click.UsageError(text)),
        }[way]()

    with contextlib.redirect_stdout(arrived), contextlib.redirect_stderr(arrived):
        guarded(told, [], redaction=redaction)
    return arrived.getvalue()


def _raise(error: Exception) -> None:
    try:
        raise ValueError(str(error))
    except ValueError as cause:
        raise error from cause


WAYS = ("plain", "ndjson", "terminal", "stdout", "report", "error", "problem", "defect", "usage")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("way", WAYS)
def test_no_encoding_comes_through_any_way_out(way: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAMAL_DEV_TRACEBACK", "1")
    redaction = Redaction()
    redaction.add(Secret(SECRET))
    text, core = ENCODINGS[encoding](SECRET, b"user:", b"@host")
    said = _said(way, text, redaction)
    assert REDACTED in said
    for shown in (core, json.dumps(core)[1:-1]):
        assert shown not in said


@settings(max_examples=50, deadline=None)
@given(
    secret=st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=6, max_size=90),
    before=st.binary(max_size=5),
    after=st.binary(max_size=5),
)
def test_no_encoding_of_any_secret_is_left(secret: str, before: bytes, after: bytes) -> None:
    assume(len(secret.strip()) >= SHORTEST and secret.strip() not in REDACTED)
    redaction = Redaction()
    redaction.add(Secret(secret))
    for name, encode in ENCODINGS.items():
        text, core = encode(secret, before, after)
        assert core not in redaction(text), name


@given(st.text(min_size=1, max_size=60), st.integers(0, 2))
def test_what_is_no_secret_stays_as_it_is(text: str, alignment: int) -> None:
    redaction = Redaction()
    redaction.add(Secret("\x00unsaid\x00"))
    assert redaction(text) == text
    assert redaction.within({"a": [text, alignment, None]}) == {"a": [text, alignment, None]}


def test_a_key_of_many_lines_is_removed_line_by_line_and_where_base64_breaks_it() -> None:
    key = (
        "-----BEGIN KEY-----\n" + "\n".join(f"line{number}" + "x" * 60 for number in range(4)) + "\n-----END KEY-----\n"
    )
    redaction = Redaction()
    redaction.add(Secret(key))
    assert "xxxx" not in redaction(key.replace("\n", "\r\n"))
    assert "line2" not in redaction("  line2" + "x" * 60)
    wrapped = base64.encodebytes(key.encode()).decode()
    assert redaction(wrapped).count(REDACTED) >= wrapped.count("\n") - 1


def test_the_shape_of_a_report_is_kept_though_a_secret_is_a_number_of_it() -> None:
    redaction = Redaction()
    redaction.add(Secret("5432"))
    assert redaction.within({"port": 5432, "text": "at 5432"}) == {"port": 5432, "text": f"at {REDACTED}"}


@pytest.mark.parametrize("short", ["", "a", "yes", "    ", "\n\n"])
def test_what_is_too_short_to_be_told_from_words_is_left(short: str) -> None:
    redaction = Redaction()
    redaction.add(Secret(short))
    assert redaction("yes, a    word") == "yes, a    word"


def test_nothing_of_the_command_line_prints_but_by_the_one_way() -> None:
    folder = Path(common.__file__).parent
    own = {"common.py", "exit.py"}
    texts = {path.name: path.read_text() for path in folder.glob("*.py") if path.name not in own}
    assert texts
    assert [name for name, text in texts.items() if "echo(" in text or "print(" in text or "stdout.write" in text] == []


def test_a_secret_cannot_be_written_down_by_accident() -> None:
    secret = Secret(SECRET)
    said = f"{secret} {secret!r} {secret!s} {[secret]} {secret:>20}" + str(DevError(f"{secret}"))
    assert SECRET not in said
    with pytest.raises(TypeError):
        json.dumps(secret)
