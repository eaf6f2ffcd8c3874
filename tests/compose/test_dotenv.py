from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kamal_dev.compose import dotenv
from kamal_dev.errors import ComposeError
from tests.compose import oracle

TEXT = r"""# a comment
A=1
export B=two words   # comment
C: three
D="double \"quoted\" \$x \\ \n ${A} # kept"
E='single $A \n "x" \'y\''
F=
G=${A}-${OUTER}-${NONE:-d}
H=a#b
I = spaced
OUTER
UNSET
K="two
lines"   # after
  L=indented
1N=digit
M.x-y=dots
O=$$A
P="octal \0101 \a"
Q="$A$OUTER"
"""


def _compose_reads(folder: Path, names: list[str], outer: dict[str, str]) -> dict[str, str | None]:
    lines = "".join(f"      {name}:\n" for name in names)
    (folder / "compose.yaml").write_text(f"services:\n  a:\n    image: x\n    environment:\n{lines}")
    found = oracle.configured(folder, environment=outer)["services"]["a"]["environment"]
    return {name: value if value is None else value.replace("$$", "$") for name, value in found.items()}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_a_file_means_what_it_means_to_compose(line_end: str, tmp_path: Path) -> None:
    text = TEXT.replace("\n", line_end)
    (tmp_path / ".env").write_bytes(text.encode())
    names = [*"ABCDEFGHIKLOPQ", "OUTER", "UNSET"]
    outer = {"OUTER": "outer"}
    ours = dotenv.parse(text, ".env", outer.get)
    assert {name: ours.get(name) for name in names} == _compose_reads(tmp_path, names, outer)
    assert "1N" not in ours
    assert ours["M.x-y"] == "dots"


@settings(max_examples=4, deadline=None, derandomize=True)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20), min_size=60))
def test_compose_reads_exactly_the_value_that_was_written(values: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = "".join(f"V{index}={dotenv.quote(value)}\n" for index, value in enumerate(values))
        (folder / ".env").write_bytes(text.encode())
        expected = {f"V{index}": value for index, value in enumerate(values)}
        assert dotenv.parse(text, ".env", {}.get) == expected
        assert _compose_reads(folder, list(expected), {}) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from("'\"\\$#\n\r {}ab=")))
def test_a_value_comes_back_whatever_is_in_it(value: str) -> None:
    assert dotenv.parse(f"A={dotenv.quote(value)}\nB=1\n", ".env", {}.get) == {"A": value, "B": "1"}


def test_a_plain_value_is_not_quoted() -> None:
    assert dotenv.quote("registry.example/a:b@c,d=e%2+f") == "registry.example/a:b@c,d=e%2+f"
    assert dotenv.quote("a b") == "'a b'"
    assert dotenv.quote("") == "''"


def test_a_value_with_a_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        dotenv.quote("a\0b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A=1\n\n'B'=2\n", "x.env:3: `'B'=2` does not start with a variable name"),
        ("A B=2\n", "x.env:1: `A B`: a variable name has no spaces"),
        ("A=1\nB='a\nb\n", "x.env:2: the quoted value has no closing quote"),
        ("A=1\nB=${A:?}${C:?needed}\n", "x.env:2: B: the required variable `C` has no value: needed"),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(ComposeError) as caught:
        dotenv.parse(text, "x.env", {}.get)
    assert str(caught.value) == message


def test_what_a_file_takes_from_outside_is_known() -> None:
    text = "A=${B}\nC='$D'\nE\nF=\"$G \\$H\"\nexport I=$$J\n"
    assert list(dotenv.mentioned(text, "x.env")) == ["B", "E", "G"]


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    assert dotenv.parse("\ufeffA=1", "x.env", {}.get) == {"A": "1"}
