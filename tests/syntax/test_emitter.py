import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kamal_dev.syntax.emitter import Tagged, dump, scalar

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


@pytest.mark.parametrize("version", [(1, 1), (1, 2)])
@given(value=st.dictionaries(TEXTS, VALUES, min_size=1, max_size=3))
def test_every_value_is_read_back_by_old_and_new_yaml(version, value):
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    assert yaml.load(dump(value)) == value


def test_plain_words_stay_plain():
    assert dump({"a": ["./x", "..", ".env", "b:1", "y"], "b": {}, "c": [], "d": True}) == (
        'a:\n  - ./x\n  - ..\n  - .env\n  - b:1\n  - "y"\nb: {}\nc: []\nd: true\n'
    )


def test_tags_stand_before_what_they_replace_and_nothing_stays_null():
    value = {"build": Tagged("!reset"), "ports": Tagged("!override", ["80:80"]), "env_file": Tagged("!override", [])}
    assert dump(value) == 'build: !reset null\nports: !override\n  - "80:80"\nenv_file: !override []\n'


def test_a_long_text_stays_on_its_line():
    assert dump({"a": "x " * 200}).count("\n") == 1


@pytest.mark.parametrize(
    ("value", "line"), [("app", "app"), ("a b", '"a b"'), ("0644", '"0644"'), ("no", '"no"'), (True, "true"), (3, "3")]
)
def test_a_value_alone_stands_on_one_line(value, line):
    assert scalar(value) == line
