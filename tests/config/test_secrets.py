"""config.parse_secrets: dotenv with variables and commands, each value read when it is asked for."""

from __future__ import annotations

import os
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamal_dev import config
from kamal_dev.config import SecretsFile
from kamal_dev.errors import ConfigError, CredentialsMissing
from kamal_dev.model import Result, Secret, Step
from tests.bounds import within

PATH = ".kamal/secrets"


class Shell:
    """Run steps for real, and remember them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def __call__(self, step: Step) -> Result:
        self.steps.append(step)
        added = {name: value.reveal() if isinstance(value, Secret) else value for name, value in step.environment}
        done = subprocess.run(
            step.argv, env={"PATH": os.environ["PATH"], **added}, capture_output=True, text=True, check=False
        )
        return Result(step, done.returncode, done.stdout, done.stderr)


def read(text: str, shell: Shell | None = None, **environment: str) -> SecretsFile:
    return config.parse_secrets(text, PATH, environment=environment, run=shell or Shell())


def value(text: str, name: str = "A", **environment: str) -> str:
    secret = read(text, **environment).get(name)
    assert secret is not None
    return secret.reveal()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=value", "value"),
        ("export A=value", "value"),
        ("  export   A = value  ", "value"),
        ("A=two words # a comment", "two words"),
        ("A=a#b", "a#b"),
        ("A=#b", "#b"),
        ("A= # only a comment", ""),
        ("A=", ""),
        ("A=''", ""),
        ('A=""', ""),
        ("A=a   b", "a   b"),
        (r"A=C:\new\path", r"C:\new\path"),
        (r"A=pa\$word", "pa$word"),
        ("A=pa$", "pa$"),
        ("A=pa$ x", "pa$ x"),
        ("A=$1$2", "$1$2"),
        ("A='p$ss #1 $(x) ${Y}'", "p$ss #1 $(x) ${Y}"),
        (r"A='it\'s'", "it's"),
        (r"A='a\\b\n'", r"a\b\n"),
        (r'A="a\nb\tc\"d\\e\$f\`g"', 'a\nb\tc"d\\e$f`g'),
        (r'A="a\qb"', r"a\qb"),
        ('A="x" # comment', "x"),
        ("A='x'# comment", "x"),
        ('A="one\ntwo"', "one\ntwo"),
        ("A='one\n\ntwo'\nB=x", "one\n\ntwo"),
        ("A='one\r\ntwo'\r\n", "one\ntwo"),
        ("\ufeffA=x", "x"),
        ("# c\n\n   \n  # d\nA=x\n", "x"),
        ("A=x\nA=y", "y"),
        ("A=x\nA=$A-y", "x-y"),
        ('A={"a": "b"}', '{"a": "b"}'),
        ('A=\'{"key": "a\\\\nb"}\'', '{"key": "a\\nb"}'),
        ("A=ünï", "ünï"),
        ("export B\nA=x", "x"),
    ],
)
def test_a_value_is_read_as_the_manual_says(text: str, expected: str) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B=x\nA=$B", "x"),
        ("B=x\nA=${B}y$B.$B-", "xyx.x-"),
        ('B=x\nA="${B} $B"', "x x"),
        ("A=${B:-d}", "d"),
        ("A=${B-d}", "d"),
        ("B=\nA=${B:-d}", "d"),
        ("B=\nA=${B-d}", ""),
        ("A=${B:-}", ""),
        ("C=c\nA=${B:-x $C ${D:-y}}", "x c y"),
        ('A="${B:-"quoted"}"', '"quoted"'),
        ("B=x\nA=${B:?no}", "x"),
        ("B=x\nA=${B?no}", "x"),
        ("A=$HERE", "env"),
        ("HERE=file\nA=$HERE", "env"),
    ],
)
def test_variables_come_from_the_environment_or_from_further_up(text: str, expected: str) -> None:
    assert value(text, HERE="env") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=$B\nB=x", "B is not set; use `'…'` for a literal `$`, or `${B:-}` for an empty default"),
        ("A=$A", "A is not set; use `'…'` for a literal `$`, or `${A:-}` for an empty default"),
        ("A=${B:?set it, please}", "set it, please"),
        ("B=\nA=${B:?is empty}", "is empty"),
        ("A=${B?}", "B is not set; use `'…'` for a literal `$`, or `${B:-}` for an empty default"),
    ],
)
def test_an_unset_variable_is_an_error_and_not_nothing(text: str, message: str) -> None:
    secrets = read(text)
    with pytest.raises(CredentialsMissing) as caught:
        secrets.get("A")
    line = text.split("\n").index(next(row for row in text.split("\n") if row.startswith("A="))) + 1
    assert str(caught.value) == f".kamal/secrets:{line}: A: {message}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=$(echo hi)", "hi"),
        ("A=x$(echo hi)y # z", "xhiy"),
        ('A="$(echo "two  words")"', "two  words"),
        ('A="$(echo " # ")"', " # "),
        ("A=$(echo \"x # y\" ')' $(echo z))", "x # y ) z"),
        (r"A=$(printf '%s' \) )", ")"),
        (r"A=$(printf 'a\n\nb\n\n\n')", "a\n\nb"),
        ("A='$(echo hi)'", "$(echo hi)"),
        ("A=${B:-$(echo hi)}", "hi"),
    ],
)
def test_commands_are_run_by_a_shell(text: str, expected: str) -> None:
    assert value(text) == expected


def test_a_command_runs_only_when_its_value_is_asked_for_and_once() -> None:
    shell = Shell()
    secrets = read("A=$(echo a)\nB=$(echo b)\nC=plain\n", shell)

    assert secrets.names == ("A", "B", "C")
    assert "A" in secrets
    assert "D" not in secrets
    assert shell.steps == []
    assert secrets.get("C") == Secret("plain")
    assert shell.steps == []
    assert [secrets.get("A"), secrets.get("A")] == [Secret("a"), Secret("a")]
    assert [step.argv for step in shell.steps] == [("sh", "-c", "echo a")]


def test_a_command_sees_what_stands_further_up() -> None:
    text = """\
VAULT_ADDR=https://vault
OTHER=$(echo never)
ALL=$(echo "$VAULT_ADDR/all")
A=$(printf '%s' "${ALL}!")
LATER=x
"""
    shell = Shell()
    assert read(text, shell).get("A") == Secret("https://vault/all!")
    seen = [{name for name, _ in step.environment} for step in shell.steps]
    assert seen == [{"VAULT_ADDR"}, {"VAULT_ADDR", "ALL"}]


def test_no_secret_stands_in_the_argv_of_a_command() -> None:
    shell = Shell()
    read("B=hunter2\nA=$(echo $B)\n", shell).get("A")
    assert shell.steps[0].argv == ("sh", "-c", "echo $B")
    assert shell.steps[0].text == "$(…) for A"
    assert "hunter2" not in repr(shell.steps)


def test_a_failing_command_is_named_with_its_line() -> None:
    for command, said in (("exit 3", "exited 3"), ("echo one >&2; echo two >&2; exit 4", "exited 4: two")):
        with pytest.raises(ConfigError) as caught:
            read(f"\nA=$({command})\n").get("A")
        assert str(caught.value) == f".kamal/secrets:2: A: its command {said}"


def test_a_command_that_prints_nul_is_refused() -> None:
    with pytest.raises(ConfigError, match="A: its command printed a NUL character"):
        read(r"A=$(printf 'a\000b')").get("A")


def test_the_environment_wins_over_the_file() -> None:
    secrets = read("A=$(exit 1)\nB=file\n", A="env", B="")
    assert secrets.get("A") == Secret("env")
    assert secrets.get("B") == Secret("")
    assert read("", C="env").get("C") == Secret("env")
    assert "C" in read("", C="env")


def test_what_is_set_nowhere_is_none() -> None:
    assert read("").get("A") is None
    assert read("export A\n").get("A") is None


def test_everything_missing_is_named_at_once_with_its_file() -> None:
    with pytest.raises(CredentialsMissing) as caught:
        read("A=x\n").require(["A", "REGISTRY_PASSWORD", "TOKEN"])
    assert str(caught.value) == (".kamal/secrets: REGISTRY_PASSWORD is not set\n.kamal/secrets: TOKEN is not set")
    lines = "`REGISTRY_PASSWORD=…` and `TOKEN=…`"
    assert caught.value.hint == f"add {lines} to .kamal/secrets, or set them in the environment"
    assert read("A=x\n").require(["A"]) == {"A": Secret("x")}


def test_no_value_shows_in_a_representation() -> None:
    secrets = read("A=hunter2\nB=$(echo hunter2)\n", C="hunter2")
    secrets.get("A")
    assert "hunter2" not in repr(secrets)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A='hunter2", ":1: A: has no closing `'`"),
        ('A="hunter2', ':1: A: has no closing `"`'),
        ("A=$(hunter2", ":1: A: has an unclosed `$(`"),
        ("A=${hunter2", ":1: A: has a `${…}` that is not supported; use `${A}`, `${A:-default}`, `${A:?message}`"),
        ("A=${B:-hunter2", ":1: A: has no closing `}`"),
        (
            "A=${B%hunter2}",
            ":1: A: has a `${…}` that is not supported; use `${A}`, `${A:-default}`, `${A:?message}`",
        ),
        (
            "A=${!hunter2}",
            ":1: A: has `${` without a variable name; use single quotes for a literal `$`",
        ),
        ('A="x" hunter2', ":1: A: has text after the closing quote"),
        ("A='x'hunter2", ":1: A: has text after the closing quote"),
        ("A=hunter2\x00", ":1: A: contains a NUL character"),
        ("hunter2", ":1: is not `NAME=value`"),
        ("two hunter2", ":1: is not `NAME=value`"),
        ("KEY: hunter2", ":1: is not `NAME=value`"),
        ("1A=hunter2", ":1: is not `NAME=value`"),
        ("A-B=hunter2", ":1: is not `NAME=value`"),
        ("=hunter2", ":1: is not `NAME=value`"),
        ("\n\n# c\n  two hunter2\nA=x", ":4: is not `NAME=value`"),
        ("A='x\ny'\ntwo hunter2", ":3: is not `NAME=value`"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_not_shown(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert str(caught.value) == f".kamal/secrets{message}"


def test_all_bad_lines_are_told_at_once_up_to_a_limit() -> None:
    with pytest.raises(ConfigError) as caught:
        read("bad line\nA=x\nB='\n")
    assert [problem.line for problem in caught.value.problems] == [1, 3]
    with pytest.raises(ConfigError) as caught:
        read("bad line\n" * 1000)
    assert len(caught.value.problems) == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=x\n" * 60_000, ".kamal/secrets: is longer than 128 KiB"),
        ("B=x\nA=a" + " " * 100_000 + "b", ".kamal/secrets:2: has more than 256 spaces in a row"),
        ("A=" + "${A:-" * 20_000, ".kamal/secrets:1: A: is nested too deeply"),
        ("A=" + "$(" * 20_000, ".kamal/secrets:1: A: has an unclosed `$(`"),
        (
            "K0=aaaaaaaa\n" + "".join(f"K{index}=$K{index - 1}$K{index - 1}\n" for index in range(1, 60)) + "A=$K59",
            ".kamal/secrets:19: K18: is longer than 1 MiB",
        ),
        (
            "K0=a\n" + "".join(f"K{index}=$K{index - 1}\n" for index in range(1, 5000)) + "A=$K4999",
            ".kamal/secrets: A: has too many levels of references",
        ),
    ],
    ids=["long", "blanks", "deep", "commands", "doubling", "chain"],
)
def test_hostile_files_are_refused_at_once(text: str, message: str) -> None:
    with within(2), pytest.raises(ConfigError) as caught:
        read(text).get("A")
    assert str(caught.value) == message


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(blacklist_characters="\0\r", blacklist_categories=("Cs",)), max_size=40))
def test_any_value_in_single_quotes_comes_out_as_it_went_in(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace("'", "\\'")
    if len(text.split("\n")) == 1 or not any(row.isspace() for row in text):
        assert value(f"A='{quoted}'\n") == text


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.sampled_from("AB=$(){}'\"#\\ \n\t:-?") | st.characters(), max_size=40))
def test_any_file_is_read_or_refused(text: str) -> None:
    def run(step: Step) -> Result:
        return Result(step, 0, "said\n")

    try:
        secrets = config.parse_secrets(text, PATH, environment={}, run=run)
        for name in secrets.names:
            secrets.get(name)
    except ConfigError as error:
        assert all(problem.path == PATH for problem in error.problems)
