"""Quote paths for options and files of OpenSSH, so that they keep their meaning."""

from __future__ import annotations

from collections.abc import Sequence

from kamal_dev.pattern import pattern

# From OpenSSH 9.9 on, tokens are replaced in Include; a `?` pattern works in every version.
_RISKY = pattern(r"""[%$*?\[\]\\"']""")


def quoted(text: str) -> str:
    """Return one quoted word for a value in ssh_config or in `-o NAME=VALUE`."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def path(text: str) -> str:
    """Return a path for an option that replaces tokens, such as IdentityFile or UserKnownHostsFile."""
    return quoted(text.replace("%", "%%"))


def paths(texts: Sequence[str]) -> str:
    """Return several paths; with none, no file is read."""
    return " ".join(map(path, texts)) or "/dev/null"


def included(text: str) -> str:
    """Return a path for Include; special characters are matched by `?`."""
    return f'"{_RISKY.sub("?", text)}"'
