"""Write the key that a provider vouches for to known_hosts. Everything else in these files is left to ssh."""

from __future__ import annotations

import os
import threading
from pathlib import Path

_writing = threading.Lock()


def pin(path: Path, name: str, key: str) -> None:
    """Make `key` (`type base64`) the only key under a name, because the provider vouches for it."""
    with _writing:
        lines = path.read_bytes().splitlines() if path.exists() else []
        wanted = f"{name} {key}".encode()
        if wanted in lines:
            return
        kept = [line for line in lines if line.split(b" ", 1)[0] != name.encode()]
        _replace(path, b"\n".join([*kept, wanted]) + b"\n")


def _replace(path: Path, text: bytes) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_bytes(text)
    fresh.chmod(0o600)
    fresh.replace(path)
