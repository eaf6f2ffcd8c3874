"""Remove everything that could control the terminal from a text."""

from __future__ import annotations

from kamal_dev.pattern import pattern

# Escape sequences: they start with ESC or its one-byte forms, and end with their terminator or the text.
_SEQUENCE = pattern(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*(?:[@-~]|$)"
    r"|(?:\x1b[PX\]^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c|$)"
    r"|\x1b[ -/]*[0-~]?"
)
# Other control characters, changes of the writing direction, and unusual line separators.
_CONTROL = pattern(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")


def printable(text: str) -> str:
    """Return `text` without control characters; newlines and tabs stay."""
    if text.isprintable():
        return text
    return _CONTROL.sub("", _SEQUENCE.sub("", text))
