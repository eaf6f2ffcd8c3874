"""Which variables of compose files look like secrets that somebody must set. A guess; resolves nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

from kamal_dev.compose import interpolate

_SECRET = re.compile(
    r"(?:^|_)(?:PASSWORD|PASSWD|PASSPHRASE|PASS|PW|SECRET|TOKEN|KEY|CREDENTIALS?|PAT)(?:_|$)", re.IGNORECASE
)
# `- NAME` and `NAME:` of an environment take their value from where Compose runs.
_PASSED_THROUGH = re.compile(r"""\s*(?:-\s+["']?([A-Z][A-Z0-9_]*)["']?|([A-Z][A-Z0-9_]*):)\s*""")


def secrets(text: str) -> tuple[str, ...]:
    """Return the names in a compose file that have no value there and look like those of secrets."""
    return tuple(dict.fromkeys(name for name in _mentioned(text) if _SECRET.search(name)))


def _mentioned(text: str) -> Iterator[str]:
    for line in text.splitlines():
        code = re.sub(r"(?:^|\s)#.*", "", line)
        yield from interpolate.needed(code)
        if found := _PASSED_THROUGH.fullmatch(code):
            yield found[1] or found[2]
