"""Split one value of .kamal/secrets into text, variables and commands. Looks nothing up, runs nothing."""

from __future__ import annotations

import re

from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

_NAME = pattern(r"[A-Za-z_][A-Za-z0-9_]*")
_SINGLE = pattern(r"'((?:\\.|[^'\\])*)'", re.DOTALL)
_SPACE = pattern(r"\s+")
_OPERATOR = pattern(r":?[-?]|(?=\})")
_REST = pattern(r"[^\S\r\n]*(\s#.*)?\s*", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'", "$": "$", "`": "`"}


@dataclass(frozen=True)
class Variable:
    """A `$name` or `${name…}`; `operator` is one of `:-`, `-`, `:?`, `?` or empty."""

    name: str
    operator: str = ""
    word: tuple[Part, ...] = ()


@dataclass(frozen=True)
class CommandSubstitution:
    """A `$(text)`."""

    text: str


Part = str | Variable | CommandSubstitution


def split(text: str) -> tuple[Part, ...]:
    """Split the text after `NAME=`, including its comment, into parts. Raises ValueError with the reason."""
    if text.startswith("'"):
        match = _SINGLE.match(text)
        if not match:
            raise ValueError("has no closing `'`")
        _ensure_rest(text[match.end() :])
        return (re.sub(r"\\([\\'])", r"\1", match[1]),)
    scanner = _Scanner(text)
    if text.startswith('"'):
        scanner.at = 1
        parts = scanner.until('"')
        _ensure_rest(text[scanner.at :])
        return parts
    return scanner.unquoted()


def variables(parts: tuple[Part, ...]) -> tuple[str, ...]:
    """Return the names that the parts mention, including those in defaults."""
    names: list[str] = []
    for part in parts:
        if isinstance(part, Variable):
            names += [part.name, *variables(part.word)]
    return tuple(names)


def has_command(parts: tuple[Part, ...]) -> bool:
    """Return whether a command has to run for the value."""
    return any(
        isinstance(part, CommandSubstitution) or (isinstance(part, Variable) and has_command(part.word))
        for part in parts
    )


def _ensure_rest(text: str) -> None:
    if not _REST.fullmatch(text) and not text.lstrip(" \t").startswith("#"):
        raise ValueError("has text after the closing quote")


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self, count: int = 1) -> str:
        return self.text[self.at : self.at + count]

    def take(self, count: int = 1) -> str:
        taken = self.peek(count)
        self.at += count
        return taken

    def until(self, end: str) -> tuple[Part, ...]:
        """Scan like between double quotes, up to and including `end`."""
        parts: list[Part] = []
        while self.at < len(self.text):
            if self.peek() == end:
                self.at += 1
                return _joined(parts)
            parts.append(self.quoted_part())
        raise ValueError(f"has no closing `{end}`")

    def quoted_part(self) -> Part:
        if self.peek() == "\\":
            self.at += 1
            escaped = self.take()
            return _ESCAPES.get(escaped, "\\" + escaped)
        return self.part()

    def unquoted(self) -> tuple[Part, ...]:
        """Scan up to a comment or the end of the text; a backslash only escapes `$`."""
        parts: list[Part] = []
        while self.at < len(self.text):
            space = _SPACE.match(self.text, self.at)
            if space and self.text[space.end() : space.end() + 1] in ("", "#"):
                break
            parts.append(self.take(len(space[0])) if space else self.unquoted_part())
        return _joined(parts)

    def unquoted_part(self) -> Part:
        return self.take(2)[1:] if self.peek(2) == "\\$" else self.part()

    def part(self) -> Part:
        if self.peek(2) == "$(":
            return self.command()
        if self.peek(2) == "${":
            return self.braced()
        name = _NAME.match(self.text, self.at + 1) if self.peek() == "$" else None
        if name is None:
            return self.take()
        self.at = name.end()
        return Variable(name[0])

    def braced(self) -> Variable:
        name = _NAME.match(self.text, self.at + 2)
        if name is None:
            raise ValueError("has `${` without a variable name; use single quotes for a literal `$`")
        self.at = name.end()
        operator = _OPERATOR.match(self.text, self.at)
        if operator is None:
            raise ValueError("has a `${…}` that is not supported; use `${A}`, `${A:-default}`, `${A:?message}`")
        self.at = operator.end()
        return Variable(name[0], operator[0], self.until("}"))

    def command(self) -> CommandSubstitution:
        """Scan `$(…)` to its closing parenthesis, respecting quotes and nested ones."""
        start, depth, quote = self.at + 2, 0, ""
        while self.at < len(self.text):
            sign = self.take()
            if sign == "\\" and quote != "'":
                self.at += 1
            elif quote:
                quote = "" if sign == quote else quote
            elif sign in "\"'":
                quote = sign
            elif sign in "()":
                depth += 1 if sign == "(" else -1
                if depth == 0:
                    return CommandSubstitution(self.text[start : self.at - 1])
        raise ValueError("has an unclosed `$(`")


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """Join neighbouring pieces of text into one."""
    joined: list[Part] = []
    pending: list[str] = []
    for part in [*parts, ""]:
        if isinstance(part, str):
            pending.append(part)
            continue
        joined += ["".join(pending), part]
        pending = []
    return tuple(part for part in (*joined, "".join(pending)) if part != "")
