"""Image references as users write them: which are well formed? Makes none."""

from __future__ import annotations

import re

LONGEST = 512

_PART = r"[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?:(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::\d+)?/)?{_PART}(?:/{_PART})*"
    r"(?::\w[\w.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-fA-F]{32,})?",
    re.ASCII,
)


def is_reference(name: str) -> bool:
    """Whether an engine takes it for the name of an image. Source: distribution, reference grammar."""
    return len(name) < LONGEST and bool(_REFERENCE.fullmatch(name))
