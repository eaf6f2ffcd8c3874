"""Decide whether a host's key is the right one. Fabric itself accepts every key (fabric#2071)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import paramiko

_writing = threading.Lock()


class AcceptNew(paramiko.MissingHostKeyPolicy):
    """Write the key of a host that nobody has met into the project's own known_hosts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        """Append one line; paramiko's own policy rewrites the file and loses what other threads wrote."""
        with _writing:
            append(self._path, hostname, f"{key.get_name()} {key.get_base64()}")


def pin(path: Path, address: str, port: int, key: str) -> None:
    """Make `key` (`type base64`) the only one for an address: the provider vouches for it."""
    name = entry_name(address, port)
    with _writing:
        lines = path.read_text().splitlines() if path.exists() else []
        wanted = f"{name} {' '.join(key.split()[:2])}"
        if wanted in lines:
            return
        kept = [line for line in lines if line.split(" ", 1)[0] != name]
        _replace(path, "\n".join([*kept, wanted]) + "\n")


def entry_name(address: str, port: int) -> str:
    """Return the name under which known_hosts lists an address. Source: sshd(8)."""
    return address if port in (0, 22) else f"[{address}]:{port}"


def append(path: Path, name: str, key: str) -> None:
    """Add one line in a single write."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{name} {key}\n".encode())
    finally:
        os.close(descriptor)


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_text(text)
    fresh.chmod(0o600)
    fresh.replace(path)
