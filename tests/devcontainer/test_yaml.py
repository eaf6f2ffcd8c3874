import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kamal_dev.devcontainer.yaml import dump

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=12) | st.sampled_from(
    [
        "",
        "yes",
        "NO",
        "null",
        "~",
        "1",
        "0644",
        "1e3",
        ".5",
        ".nan",
        "22:22",
        "a: b",
        "- a",
        "#",
        "*a",
        "a #b",
        "\x7f",
        "\x85",
        "\ufeff",
    ]
)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(2**40), 2**40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


def doubled(value):
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, list):
        return [doubled(item) for item in value]
    return {key: doubled(item) for key, item in value.items()} if isinstance(value, dict) else value


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@given(value=st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3))
def test_every_value_is_read_back_by_old_and_new_yaml(version, value):
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    assert yaml.load(dump(value)) == doubled(value)


def test_plain_words_stay_plain():
    assert dump({"a": ["./x", "..", ".env", "b:1", "y"], "b": {}, "c": [], "d": True}) == (
        'a:\n  - ./x\n  - ..\n  - .env\n  - b:1\n  - "y"\nb: {}\nc: []\nd: true\n'
    )
