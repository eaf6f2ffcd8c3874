"""Whether bytes are JSON but for comments, trailing commas and a BOM: told without the code under test."""

from __future__ import annotations

import json
import re

_STRING = r'"(?:[^"\\]|\\.)*"'
_COMMENT = re.compile(rf"({_STRING})|//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_TRAILING = re.compile(rf"({_STRING})|,(?=\s*[}}\]])", re.DOTALL)


def is_jsonc(data: bytes) -> bool:
    """Whether the text is broken only in ways that are allowed."""
    try:
        json.loads(plain(data.decode("utf-8-sig")))
    except ValueError:
        return False
    return True


def plain(text: str) -> str:
    """Return the text as plain JSON."""
    for pattern in (_COMMENT, _TRAILING):
        text = pattern.sub(lambda match: match[1] or "", text)
    return text
