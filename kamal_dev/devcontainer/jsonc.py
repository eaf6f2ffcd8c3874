"""Parse JSON with comments into values and positions. Accepts comments, trailing commas and a BOM, but no JSON5."""

from __future__ import annotations

import json
import math
import re
from bisect import bisect_right
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from kamal_dev.errors import DevcontainerError, Problem
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

LARGEST = 256 * 1024
DEEPEST = 100
LARGEST_WHOLE = 1e21

Path = tuple[str | int, ...]

_TOKEN = pattern(
    r"""
      (?P<string>"[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*"?)
    | (?P<comment>//[^\r\n]*|/\*.*?\*/)
    | (?P<unclosed>/\*)
    | (?P<open>[{\[])
    | (?P<close>[}\]])
    | (?P<comma>,)
    | (?P<colon>:)
    | (?P<word>'[^'\r\n]*'?|[^\s"'{}\[\],:/]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_WHOLE_STRING = pattern(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NUMBER = pattern(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_UNUSABLE = pattern("[\x00\ud800-\udfff]")
_HINT = "the file is JSON, with comments and trailing commas"
_BLANKS = " \t\r\n"
_LINE_BREAK = pattern(r"\r\n|\r|\n")
_SENTENCES = {
    "Expecting property name enclosed in double quotes": "expected a property name in double quotes",
    "Illegal trailing comma before end of object": "expected a property name in double quotes",
    "Illegal trailing comma before end of array": "expected a value",
    "Expecting ':' delimiter": "expected `:` after the property name",
    "Expecting ',' delimiter": "expected `,` or a closing bracket",
    "Expecting value": "expected a value",
    "Extra data": "expected the end of the file",
}


@dataclass(frozen=True)
class Document:
    """Hold the content of a file and its places: of a key, or of a list's element.

    `positions` maps (key, index, …) to line and column, from 1; `()` is the whole. `repeated` lists the keys that
    occur twice in one object; the last one counts.
    """

    value: Any
    positions: Mapping[Path, tuple[int, int]]
    repeated: tuple[Path, ...] = ()


def parse(text: str, display: str) -> Document:
    """Read `text`; `display` is the file's name in errors.

    Raises DevcontainerError with line and column for anything that is not strict JSON with comments and trailing
    commas, or that is larger than 256 KiB or nested deeper than 100.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > LARGEST:
        _refuse(text[:1], display, 0, f"is larger than {LARGEST // 1024} KiB")
    scan = _Scan(text, display)
    scan.run()
    value = _load(scan, text, display)
    lines = _Lines(text)
    positions = {path: lines.at(offset) for path, offset in scan.offsets.items()}
    return Document(value, positions, tuple(scan.repeated))


def _load(scan: _Scan, text: str, display: str) -> Any:
    """Parse the text without comments, whose offsets are those of the original."""
    blanked = "".join(scan.pieces)
    if not blanked.strip(_BLANKS):
        _refuse(text, display, 0, "is empty")
    try:
        # Like the devcontainer CLI, accept tabs in strings.
        return json.loads(blanked, strict=False, parse_float=_number, parse_int=_number)
    except json.JSONDecodeError as error:
        _refuse(text, display, error.pos, _describe(error.msg, blanked, error.pos))


def _describe(message: str, text: str, offset: int) -> str:
    """Return what json found, in words that name the character."""
    sentence = next((phrase for start, phrase in _SENTENCES.items() if message.startswith(start)), message.lower())
    if offset >= len(text.rstrip(_BLANKS)):
        return f"{sentence}, found the end of the file"
    character = text[offset]
    if character.isspace() and character not in _BLANKS:
        return f"{sentence}, found the character U+{ord(character):04X}"
    return sentence


class _Scan:
    """Walk over the tokens once: blank out what JSON does not allow, and record where keys are.

    The joined `pieces` are as long as the text. A broken structure is left to json; only what json would accept or
    explain badly is refused here.
    """

    def __init__(self, text: str, display: str) -> None:
        self.text = text
        self.display = display
        self.pieces: list[str] = []
        self.offsets: dict[Path, int] = {}
        self.repeated: list[Path] = []
        # The current key or index in each open bracket; None before a key.
        self._stack: list[str | int | None] = []
        # The index of the piece with a comma that becomes a trailing one if a closing bracket follows.
        self._trailing = -1
        self._before = "open"

    def run(self) -> None:
        """Fill `pieces`, `offsets` and `repeated`."""
        if match := _UNUSABLE.search(self.text):
            self._fail(match.start(), f"the character U+{ord(match[0]):04X} is not allowed")
        take = {
            "comment": self._comment,
            "unclosed": self._unclosed,
            "open": self._open,
            "close": self._close,
            "comma": self._comma,
            "string": self._string,
            "word": self._word,
        }
        done = 0
        for token in _TOKEN.finditer(self.text):
            kind = str(token.lastgroup)
            self.pieces += (self.text[done : token.start()], token[0])
            done = token.end()
            if kind != "colon":
                take[kind](token[0], token.start())
            if kind != "comment":
                self._before = kind
        self.pieces.append(self.text[done:])

    def _comment(self, word: str, offset: int) -> None:
        self.pieces[-1] = re.sub(r"[^\r\n]", " ", word)

    def _unclosed(self, word: str, offset: int) -> None:
        self._fail(offset, "this comment has no closing `*/`")

    def _open(self, word: str, offset: int) -> None:
        self._value(offset)
        self._stack.append(0 if word == "[" else None)
        if len(self._stack) > DEEPEST:
            self._fail(offset, f"is nested deeper than {DEEPEST}")

    def _close(self, word: str, offset: int) -> None:
        if self._before == "comma" and self._trailing >= 0:
            self.pieces[self._trailing] = " "
        if self._stack:
            self._stack.pop()

    def _comma(self, word: str, offset: int) -> None:
        self._trailing = -1 if self._before in ("open", "comma", "colon") else len(self.pieces) - 1
        if self._stack:
            top = self._stack[-1]
            self._stack[-1] = top + 1 if isinstance(top, int) else None

    def _string(self, word: str, offset: int) -> None:
        if not _WHOLE_STRING.fullmatch(word):
            self._fail(offset, 'this string has no closing `"`')
        value = _decode(word)
        if _UNUSABLE.search(value):
            self._fail(offset, "this string contains a NUL or half of a surrogate pair")
        if self._stack and self._stack[-1] is None:
            self._stack[-1] = value
            self._remember(offset)
        else:
            self._value(offset)

    def _word(self, word: str, offset: int) -> None:
        if word not in ("true", "false", "null") and not _NUMBER.fullmatch(word):
            is_key = bool(self._stack) and self._stack[-1] is None
            self._fail(offset, *_not_json(word, is_key=is_key))
        # json would turn the one into infinity, and refuse the other because of its number of digits.
        if word[-1].isdigit() and math.isinf(float(word)):
            self._fail(offset, "this number is too large")
        self._value(offset)

    def _value(self, offset: int) -> None:
        if not self._stack or isinstance(self._stack[-1], int):
            self._remember(offset)

    def _remember(self, offset: int) -> None:
        path = tuple(key for key in self._stack if key is not None)
        if path in self.offsets and path:
            self.repeated.append(path)
        if path or path not in self.offsets:
            self.offsets[path] = offset

    def _fail(self, offset: int, message: str, hint: str = "") -> NoReturn:
        _refuse(self.text, self.display, offset, message, hint)


class _Lines:
    """Turn offsets into lines and columns, starting from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in _LINE_BREAK.finditer(text))]

    def at(self, offset: int) -> tuple[int, int]:
        """Return line and column of an offset."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


def _number(word: str) -> float:
    """Return a number like JavaScript: `1e3` is 1000, and only 16 digits count."""
    value = float(word)
    return int(Decimal(repr(value))) if value.is_integer() and abs(value) < LARGEST_WHOLE else value


def _decode(word: str) -> str:
    """Return a string token's value; json reports a broken escape."""
    if "\\" not in word:
        return word.strip('"')
    try:
        return str(json.loads(word, strict=False))
    except ValueError:
        return word


def _not_json(word: str, *, is_key: bool) -> tuple[str, str]:
    """Return what is wrong with a bare word, and what to write instead."""
    if word.startswith("'"):
        return f"{word} is in single quotes", "JSON needs double quotes"
    if word.startswith("#"):
        return "`#` does not start a comment", "write `//`"
    if is_key:
        return f"the property name `{word}` has no quotes", f'write `"{word}"`'
    return f"`{word}` is not a JSON value", "a string needs double quotes" if word[0].isalpha() else ""


def _refuse(text: str, display: str, offset: int, message: str, hint: str = "") -> NoReturn:
    line, column = _Lines(text).at(offset)
    raise DevcontainerError(Problem(display, line, message, column=column), hint=hint or _HINT)
