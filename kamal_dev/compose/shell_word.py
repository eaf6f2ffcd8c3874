"""Resolve one word of a Dockerfile: quotes, escapes and variables, like BuildKit's `shell` package."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator

from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

Lookup = Callable[[str], "str | None"]

_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]")
_MODIFIER = pattern(r":?[-+?]|##?|%%?|//?")


@dataclass(frozen=True)
class Word:
    """Hold a word as written; `escape` is the Dockerfile's escape character."""

    text: str
    escape: str = "\\"

    def after(self, mark: str) -> Word:
        """Return what follows the first `mark`."""
        return Word(self.text.partition(mark)[2], self.escape)

    def expanded(self, lookup: Lookup) -> str:
        """Return the word without quotes and escapes, with variables resolved; unset ones are empty.

        A word that BuildKit refuses is returned as written: the builder reports it.
        """
        try:
            return _WordReader(self.text, self.escape, lookup).read()
        except ValueError:
            return self.text


def words(text: str, escape: str) -> list[Word]:
    """Split at white space outside quotes; quotes and escapes stay. Source: buildkit, `parseWords`."""
    return [Word(word, escape) for word in _words(text, escape)]


def _words(text: str, escape: str) -> Iterator[str]:
    word, quote, position = "", "", 0
    while position < len(text):
        character = text[position]
        if character == escape and position + 1 < len(text) and quote != "'":
            word += text[position : position + 2]
            position += 2
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character.isspace():
            if word:
                yield word
            word, position = "", position + 1
            continue
        word += character
        position += 1
    if word:
        yield word


class _WordReader:
    def __init__(self, text: str, escape: str, lookup: Lookup) -> None:
        self.text, self.escape, self.lookup = text, escape, lookup
        self.at = 0

    def read(self, stop: str = "") -> str:
        """Read everything up to and including the character `stop`, or to the end."""
        word = ""
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == stop:
                self.at += 1
                return word
            if character == "'":
                word += self._single()
            elif character == '"':
                word += self._double()
            elif character == "$":
                word += self._variable()
            elif character == self.escape:
                word += self.text[self.at + 1 : self.at + 2]
                self.at += 2
            else:
                word += character
                self.at += 1
        if stop:
            raise ValueError(f"`{stop}` is missing")
        return word

    def _single(self) -> str:
        end = self.text.find("'", self.at + 1)
        if end < 0:
            raise ValueError("a quote is not closed")
        text, self.at = self.text[self.at + 1 : end], end + 1
        return text

    def _double(self) -> str:
        word = ""
        self.at += 1
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == '"':
                self.at += 1
                return word
            if character == "$":
                word += self._variable()
                continue
            following = self.text[self.at + 1 : self.at + 2]
            is_escape = character == self.escape and following in ('"', "$", self.escape) and following
            word += following if is_escape else character
            self.at += 2 if is_escape else 1
        raise ValueError("a quote is not closed")

    def _variable(self) -> str:
        self.at += 1
        if self.text[self.at : self.at + 1] == "{":
            return self._braced()
        name = _NAME.match(self.text, self.at)
        if not name:
            return "$"
        self.at = name.end()
        return self.lookup(name[0]) or ""

    def _braced(self) -> str:
        self.at += 1
        name = _NAME.match(self.text, self.at)
        if not name:
            raise ValueError("a variable has no name")
        self.at = name.end()
        value = self.lookup(name[0])
        if self.text[self.at : self.at + 1] == "}":
            self.at += 1
            return value or ""
        modifier = _MODIFIER.match(self.text, self.at)
        if not modifier:
            raise ValueError("unknown modifier")
        self.at = modifier.end()
        if modifier[0].startswith("/"):
            pattern = self.read("/")
            return _replaced(value or "", pattern, self.read("}"), every=modifier[0] == "//")
        return _modified(value, modifier[0], self.read("}"))


def _modified(value: str | None, modifier: str, word: str) -> str:
    is_set = bool(value) if modifier.startswith(":") else value is not None
    if modifier.endswith("-"):
        return value or "" if is_set else word
    if modifier.endswith("+"):
        return word if is_set else ""
    if modifier.endswith("?"):
        if not is_set:
            raise ValueError(word or "is not set")
        return value or ""
    return _trimmed(value or "", modifier, word)


def _trimmed(value: str, modifier: str, pattern: str) -> str:
    """Remove the shortest (`#`, `%`) or longest (`##`, `%%`) match of a pattern at the start or the end."""
    cuts = range(len(value) + 1)
    if modifier[0] == "#":
        cuts = cuts if len(modifier) == 1 else cuts[::-1]
        return next((value[cut:] for cut in cuts if fnmatch.fnmatchcase(value[:cut], pattern)), value)
    cuts = cuts[::-1] if len(modifier) == 1 else cuts
    return next((value[:cut] for cut in cuts if fnmatch.fnmatchcase(value[cut:], pattern)), value)


def _replaced(value: str, pattern: str, text: str, *, every: bool) -> str:
    compiled = re.compile(fnmatch.translate(pattern).replace("\\Z", "").replace("\\z", ""))
    return compiled.sub(lambda _: text, value, count=0 if every else 1)
