import math
from pathlib import Path

import pytest

from kamal_dev.compose import scalar
from tests.compose import oracle

WRITTEN = [
    *(
        "0644",
        "3.10",
        "yes",
        "2024-01-01",
        "1e3",
        "1_000",
        "0x1F",
        "0X1f",
        "0o17",
        "true",
        "True",
        "12345678901234567890",
    ),
    *("1.0", "100000000000000000000000.0", "22:22", "-5", "+5", "1.5e-7", "0b11", ".5", "2024-01-01T10:00:00Z", "0888"),
    *("-0.0", "1.", "0", "-0x1f", "99999999999999999999999999", "1e400x", "2024-13-01", "2024-1-2 3:4:5.250", "0.0001"),
    *(
        "0.00001",
        "123456789.125",
        "2001-12-14t21:59:43.10-05:00",
        "+.5",
        "1__0",
        "0_1",
        "+",
        ".",
        "1e21",
        "1e20",
        "Null",
    ),
]


def test_numbers_reach_a_build_as_compose_spells_them(tmp_path: Path) -> None:
    lines = "".join(f"        A{index}: {text}\n" for index, text in enumerate(WRITTEN))
    (tmp_path / "compose.yaml").write_text(f"services:\n  a:\n    build:\n      args:\n{lines}")
    args = oracle.configured(tmp_path)["services"]["a"]["build"]["args"]
    spelled = {f"A{index}": scalar.spell(scalar.resolve(text)) for index, text in enumerate(WRITTEN)}
    assert spelled == {key: args.get(key, "") for key in spelled}


@pytest.mark.parametrize(
    ("text", "value"),
    [("", None), ("~", None), ("FALSE", False), ("no", "no"), (".nan", math.nan), ("-.inf", -math.inf), ("<<", "<<")],
)
def test_words_of_yaml_are_values(text: str, value: object) -> None:
    assert scalar.resolve(text) == value or (value != value and math.isnan(scalar.resolve(text)))


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (False, "false"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)
def test_words_of_yaml_are_spelled_as_go_does(value: object, text: str) -> None:
    assert scalar.spell(value) == text
