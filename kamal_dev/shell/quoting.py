"""Write paths so that OpenSSH reads them as they are, in its options and in its files."""

from __future__ import annotations

import re
from collections.abc import Sequence

# From OpenSSH 9.9 on tokens are replaced in Include, and a pattern is what any version takes there.
_RISKY = re.compile(r"""[%$*?\[\]\\"']""")


def quoted(text: str) -> str:
    """Return one word of a value in ssh_config, or of `-o NAME=VALUE`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def path(text: str) -> str:
    """Return a path for an option that replaces tokens: IdentityFile, UserKnownHostsFile and their like."""
    return quoted(text.replace("%", "%%"))


def paths(texts: Sequence[str]) -> str:
    """Return several of them; without any, no file is read."""
    return " ".join(map(path, texts)) or "/dev/null"


def included(text: str) -> str:
    """Return a path for Include: what has a meaning there is matched by `?`."""
    return f'"{_RISKY.sub("?", text)}"'
