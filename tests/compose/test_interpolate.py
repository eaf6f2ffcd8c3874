from pathlib import Path

import pytest

from kamal_dev.compose import interpolate
from tests.compose import oracle

VARIABLES = {"SET": "value", "EMPTY": "", "DOLLAR": "a$b", "_x1": "under"}
TEXTS = [
    *("plain", "$SET", "${SET}", "$SET-x", "${SET}x", "$$SET", "$${SET}", "$$$SET", "a$$b", "$_x1.", "${NONE}|"),
    *("${SET:-d}", "${EMPTY:-d}", "${EMPTY-d}|", "${NONE:-d}", "${NONE-d}", "${NONE:-}|", "${NONE-}|"),
    *("${SET:+alt}", "${EMPTY:+alt}|", "${EMPTY+alt}", "${NONE+alt}|", "${NONE:+alt}|"),
    *("${SET:?no}", "${EMPTY?no}|", "${NONE:-${SET}}", "${NONE:-a${EMPTY:-b${SET}}c}d", "${NONE:-{}}", "${NONE:-$SET}"),
    *(
        "${DOLLAR}",
        "${NONE:-$$x}",
        "${SET} and ${NONE:-d} and $SET",
        "$ 1",
        "$1",
        "$",
        "100%$",
        "${NONE:-a:-b}",
        "${NONE-a:?b}",
    ),
    *("${NONE:-a b}", "${NONE:-:}", "${SET:-a}b}"),
]


def test_every_form_means_what_it_means_to_compose(tmp_path: Path) -> None:
    lines = "".join(f"      - 'T{index}={text}'\n" for index, text in enumerate(TEXTS))
    (tmp_path / "compose.yaml").write_text(f"services:\n  a:\n    image: x\n    environment:\n{lines}")
    found = oracle.configured(tmp_path, environment=VARIABLES)["services"]["a"]["environment"]
    ours = {f"T{index}": interpolate.substitute(text, VARIABLES.get) for index, text in enumerate(TEXTS)}
    assert ours == {key: value.replace("$$", "$") for key, value in found.items()}


@pytest.mark.parametrize("text", ["${NONE:?why ${SET}}", "${NONE?}", "${EMPTY:?}", "${SET:-${NONE:?x}}x${NONE?y}"])
def test_a_required_variable_must_have_a_value(text: str) -> None:
    with pytest.raises(interpolate.Missing, match="has no value"):
        interpolate.substitute(text, VARIABLES.get)


@pytest.mark.parametrize("text", ["${", "${}", "${1}", "${A B}", "${A:}", "${A:-b", "x ${A*}"])
def test_what_is_no_variable_is_said(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a variable; write `\$\$`"):
        interpolate.substitute(text, VARIABLES.get)


def test_names_are_found_in_defaults_too() -> None:
    text = "$A ${B} ${C:-${D}x$E} $$F ${G"
    assert list(interpolate.names(text)) == ["A", "B", "C", "D", "E"]
    assert list(interpolate.bare(text)) == ["A", "B"]


def test_an_escaped_text_comes_back() -> None:
    assert interpolate.substitute(interpolate.escape("a$b${c}$$"), {}.get) == "a$b${c}$$"
