"""Words of our own idiom stay out of what people read: see *Writing style* in docs/contributing.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TOP = Path(__file__).parents[1]
BANNED = (
    r"mend(?:s|ed|ing)?",
    r"fell",
    r"put(?:s|ting)? (?:\w+ )?back",
    r"takes? (?:\w+ )?back|taken back",
    r"left alone|leaves? (?:it|them|one|that) alone",
    r"in the making",
    r"go(?:es)? on (?:from there|with|to its)",
    r"not begun",
    r"took over",
    r"getting in",
    r"known here",
    r"as was asked(?: for)?|as asked",
    r"for a look",
    r"once more|any more|is no more|are no more|takes? no more",
    r"could not be asked|asks? again",
    r"made ready|fall(?:s)? silent",
    r"all the same",
    r"anew|afresh|beforehand|besides|henceforth|herein|hereby|likewise|nevertheless|thereby|whence",
    r"whoever",
    r"stands|laid over",
    r"(?:be|is|are) told of",
)
# A variable is named after what it holds.
_NOT_NAMES = {"told", "said", "has", "gone", "left", "there", "seen", "found"}
_PATTERN = re.compile("|".join(rf"\b(?:{words})\b" for words in BANNED), re.IGNORECASE)
# The page on style lists words to avoid; the specification is of others.
_QUOTED = re.compile(r"^## Writing style$.*", re.MULTILINE | re.DOTALL)
_NOT_OURS = ("kamal_dev/compose/specification/",)


def pages() -> list[Path]:
    found = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
    found += [path for path in sorted((TOP / "kamal_dev").rglob("*")) if path.suffix in (".py", ".sh", ".example")]
    found += sorted(path for path in (TOP / "bin").iterdir() if path.is_file())
    return [path for path in found if not str(path.relative_to(TOP)).startswith(_NOT_OURS)]


def found(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    if path.name == "contributing.md":
        text = _QUOTED.sub("", text)
    for number, line in enumerate(text.splitlines(), 1):
        for match in _PATTERN.finditer(line):
            yield f"{path.relative_to(TOP)}:{number}: `{match.group()}`"


def test_no_words_of_our_own_idiom_are_used() -> None:
    assert [line for path in pages() for line in found(path)] == []


def test_the_list_finds_them_in_any_case() -> None:
    assert [match.group() for match in _PATTERN.finditer("Mend it: it is LEFT ALONE, and was built anew")] == [
        "Mend",
        "LEFT ALONE",
        "anew",
    ]


def test_variables_are_named_after_what_they_hold() -> None:
    modules = [path for path in pages() if path.suffix == ".py"]
    assert [line for path in modules for line in empty_names(path.read_text(encoding="utf-8"), path)] == []


def test_names_that_say_nothing_are_found_wherever_a_variable_gets_its_name() -> None:
    text = "def f(told):\n    left: int = 1\n    return [0 for has in told if (seen := has)]\n"
    assert [line.rpartition(" ")[2] for line in empty_names(text, Path("x.py"))] == ["told", "left", "has", "seen"]


def empty_names(text: str, path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name) | ast.MatchAs(name=str(name)):
                if name in _NOT_NAMES:
                    yield f"{path}:{node.lineno}: {name}"
