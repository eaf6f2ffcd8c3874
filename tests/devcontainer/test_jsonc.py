import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamal_dev.devcontainer.jsonc import parse
from kamal_dev.errors import DevcontainerError
from tests.bounds import within


def refusal(text: str) -> str:
    with pytest.raises(DevcontainerError) as caught:
        parse(text, "f.json")
    assert caught.value.exit_code == 2
    assert caught.value.hint
    return str(caught.value).removeprefix("f.json:")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        ('\ufeff{"a": 1}', {"a": 1}),
        ('// first\r\n{\r\n "a": 1, // one\r\n}\r\n', {"a": 1}),
        ('/* a\n b */ {"a": /* in */ 1 /**/}', {"a": 1}),
        ('{"a": [1, 2,], "b": {"c": null,},}', {"a": [1, 2], "b": {"c": None}}),
        ('{"a": [1 /* x */ , // y\n ]}', {"a": [1]}),
        (
            '{"url": "https://x//y", "glob": "/* no */ **/*.py,]"}',
            {"url": "https://x//y", "glob": "/* no */ **/*.py,]"},
        ),
        ('{"a": "quote \\" // and \\\\"}//end', {"a": 'quote " // and \\'}),
        ('{"a": "\\ud83d\\ude00", "b": "😀"}', {"a": "😀", "b": "😀"}),
        ('{"a": 1, "a": {"b": 2}}', {"a": {"b": 2}}),
        ('{"a": -1.5e+3, "b": 0, "c": true, "d": false}', {"a": -1500.0, "b": 0, "c": True, "d": False}),
        ("\t{\t}\t", {}),
        ("[1]", [1]),
    ],
)
def test_comments_trailing_commas_and_a_bom_are_read(text, value):
    assert parse(text, "f.json").value == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: is empty"),
        (" // nothing\n\n", "1:1: is empty"),
        ('{"a": 1', "1:8: expected `,` or a closing bracket, found the end of the file"),
        ('{\n "a": 1\n "b": 2\n}', "3:2: expected `,` or a closing bracket"),
        ('{"a" 1}', "1:6: expected `:` after the property name"),
        ('{"a":}', "1:6: expected a value"),
        ("{,}", "1:2: expected a property name in double quotes"),
        ('{"a": 1,,}', "1:9: expected a property name in double quotes"),
        ("[,]", "1:2: expected a value"),
        ("[1,,]", "1:4: expected a value"),
        ('{"a": 1}\n{"b": 2}', "2:1: expected the end of the file"),
        ('{"a": 1}]', "1:9: expected the end of the file"),
        ("]", "1:1: expected a value"),
        ('{"a": [1}', "1:9: expected `,` or a closing bracket"),
        ('{"a": "b', '1:7: this string has no closing `"`'),
        ('{"a": "b\n"}', '1:7: this string has no closing `"`'),
        ('{"a": "\\q"}', "1:8: invalid \\escape"),
        ('{"a\\q": 1}', "1:4: invalid \\escape"),
        ('{"a": "\\u12"}', "1:9: invalid \\uxxxx escape"),
        ('{"a": "\\ud800"}', "1:7: this string contains a NUL or half of a surrogate pair"),
        ('{"a": "\\u0000"}', "1:7: this string contains a NUL or half of a surrogate pair"),
        ('{"a": "\ud800"}', "1:8: the character U+D800 is not allowed"),
        ('{"a": 1 /* open', "1:9: this comment has no closing `*/`"),
        ('{"a":\u00a01}', "1:6: expected a value, found the character U+00A0"),
        ('{"a": 1}\u00a0', "1:9: expected the end of the file, found the character U+00A0"),
        ('{"a": 1e999}', "1:7: this number is too large"),
        ('{"a": ' + "9" * 5000 + "}", "1:7: this number is too large"),
        ("/", "1:1: expected a value"),
    ],
)
def test_broken_syntax_is_refused_with_line_and_column(text, message):
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'a': 1}", "1:2: 'a' is in single quotes"),
        ("{\"a\": 'b'}", "1:7: 'b' is in single quotes"),
        ("{a: 1}", "1:2: the property name `a` has no quotes"),
        ("{1: 2}", "1:2: expected a property name in double quotes"),
        ('{"a": NaN}', "1:7: `NaN` is not a JSON value"),
        ('{"a": Infinity}', "1:7: `Infinity` is not a JSON value"),
        ('{"a": -Infinity}', "1:7: `-Infinity` is not a JSON value"),
        ('{"a": +1}', "1:7: `+1` is not a JSON value"),
        ('{"a": .5}', "1:7: `.5` is not a JSON value"),
        ('{"a": 5.}', "1:7: `5.` is not a JSON value"),
        ('{"a": 0x1F}', "1:7: `0x1F` is not a JSON value"),
        ('{"a": 01}', "1:7: `01` is not a JSON value"),
        ('{"a": ١}', "1:7: `١` is not a JSON value"),
        ('{"a": undefined}', "1:7: `undefined` is not a JSON value"),
        ('{"a": True}', "1:7: `True` is not a JSON value"),
        ('{"a": "b \\\n c"}', "1:10: invalid \\escape"),
        ("# comment\n{}", "1:1: `#` does not start a comment"),
        ("{{cookiecutter.name}}", "1:3: the property name `cookiecutter.name` has no quotes"),
    ],
)
def test_json5_is_refused_with_line_and_column(text, message):
    assert refusal(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"a":' * 20_000 + "1" + "}" * 20_000,
        "[" + "1," * 130_000 + "1]",
        "x" * 50_000_000,
        '"' + "\\\\" * 130_000,
        "/*" * 130_000,
        '{"a": "' + "x" * 260_000,
    ],
)
def test_deep_and_huge_files_end_within_two_seconds(text):
    with within(2):
        try:
            parse(text, "f.json")
        except DevcontainerError as error:
            assert str(error).startswith("f.json:1:")


def test_depth_and_size_have_limits_that_are_named():
    assert refusal("[" * 101 + "]" * 101) == "1:101: is nested deeper than 100"
    assert parse("[" * 100 + "]" * 100, "f.json").value
    assert refusal(" " * (256 * 1024 + 1)) == "1:1: is larger than 256 KiB"


def test_keys_and_elements_know_their_place():
    document = parse('// c\r\n{\n  "a": {"b": 1},\r  "l": ["x", {"k": 2}]\n}', "f.json")
    assert document.positions == {
        (): (2, 1),
        ("a",): (3, 3),
        ("a", "b"): (3, 9),
        ("l",): (4, 3),
        ("l", 0): (4, 9),
        ("l", 1): (4, 14),
        ("l", 1, "k"): (4, 15),
    }


def test_a_bom_is_not_counted_as_a_column():
    assert parse('\ufeff{"a": 1}', "f.json").positions[("a",)] == (1, 2)


def test_a_key_given_twice_is_known_and_the_last_place_counts():
    document = parse('{"a": {"x": 1},\n "b": {"x": 1}, "a": 2}', "f.json")
    assert document.repeated == (("a",),)
    assert document.positions[("a",)] == (2, 17)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8)
    | st.sampled_from(["//", "/* x */", ",]", ",}", '"', "\\", "\r\n"])
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(SCALARS.map(str), inner, max_size=4),
    max_leaves=20,
)
NOISE = st.sampled_from(["", " ", "\n", "\r\n", "\t", '// no ] } , "\n', '/* no , ] } " */', "/**/", "/*\n*/"])


@st.composite
def disguised(draw, value):
    """Write a value as JSONC: noise between tokens, trailing commas."""

    def noise():
        return draw(NOISE) + draw(NOISE)

    def write(item):
        if isinstance(item, list):
            return surround("[", [write(one) for one in item], "]")
        if isinstance(item, dict):
            pairs = [f"{json.dumps(key)}{noise()}:{noise()}{write(one)}" for key, one in item.items()]
            return surround("{", pairs, "}")
        return json.dumps(item, ensure_ascii=draw(st.booleans()))

    def surround(opening, items, closing):
        comma = f"{noise()}," if items and draw(st.booleans()) else ""
        inside = f"{noise()},{noise()}".join(items)
        return f"{opening}{noise()}{inside}{comma}{noise()}{closing}"

    return noise() + write(value) + noise()


@given(st.data())
def test_comments_and_trailing_commas_never_change_the_value(data):
    value = data.draw(DOCUMENTS)
    text = data.draw(disguised(value))
    assert doubles(parse(text, "f.json").value) == doubles(value)


@given(st.text(st.sampled_from('{}[]",:/*\\\n a1-."\'#nultrefs'), max_size=40))
def test_any_text_is_read_as_std_json_does_or_refused_with_a_place(text):
    try:
        found = parse(text, "f.json").value
    except DevcontainerError as error:
        assert error.problems[0].line >= 1
        assert error.problems[0].column >= 1
        with pytest.raises(ValueError):
            json.loads(text)
    else:
        assert doubles(found) == doubles(std_json(text, otherwise=found))


def doubles(value):
    """Return a value with every number as JavaScript holds it."""
    return json.loads(json.dumps(value), parse_int=float)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("9007199254740993", "9007199254740992"),
        ("12345678901234567890", "12345678901234567000"),
        ("6.369323912855146e+16", "63693239128551460"),
        ("1e3", "1000"),
        ("1.0", "1"),
        ("1e21", "1e+21"),
        ("0.5", "0.5"),
    ],
)
def test_a_number_is_what_javascript_prints(written, printed):
    assert json.dumps(parse(written, "f").value) == printed


def std_json(text: str, otherwise):
    try:
        return json.loads(text)
    except ValueError:
        return otherwise


@given(DOCUMENTS)
def test_strict_json_is_read_as_std_json_does(value):
    assert doubles(parse(json.dumps(value, indent=1), "f.json").value) == doubles(value)


def test_a_tab_in_a_string_is_taken_as_the_reference_implementation_takes_it():
    assert parse('{"a": "b\tc"}', "f").value == {"a": "b\tc"}
