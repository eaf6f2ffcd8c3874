"""The symbols of the output, and their replacements on ASCII terminals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TextIO

_ASCII = str.maketrans(
    {"✓": "+", "✗": "x", "…": "...", "→": "->", "·": "-", "━": "#", "─": "-", "“": '"', "”": '"', "’": "'", "–": "-"}
)


class Symbols(NamedTuple):
    """Hold the symbols of one kind of terminal."""

    done: str
    failed: str
    skipped: str
    full: str
    empty: str
    spinner: str


UNICODE = Symbols("✓", "✗", "·", "━", "─", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
ASCII = Symbols("+", "x", "-", "#", "-", "|/-\\")


def is_ascii_locale(environment: Mapping[str, str]) -> bool:
    """Return whether the user asks for ASCII: Python treats the locale `C` as UTF-8, but the terminal may not."""
    return (environment.get("LC_ALL") or environment.get("LANG")) in ("C", "POSIX")


def is_unicode(encoding: str | None) -> bool:
    """Return whether an encoding has the symbols."""
    try:
        "✓━⠋".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def in_ascii(text: str) -> str:
    """Return a text with its symbols replaced by ASCII; other characters become question marks."""
    return without_signs(text).encode("ascii", "replace").decode()


def without_signs(text: str) -> str:
    """Return a text with its symbols replaced by ASCII; other characters stay."""
    return text.translate(_ASCII)


def written(stream: TextIO, text: str, *, is_ascii: bool = False) -> None:
    """Write a line and flush; a stream that cannot encode the symbols gets ASCII."""
    encoding = "ascii" if is_ascii else getattr(stream, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        text = in_ascii(text)
    print(text, file=stream, flush=True)
