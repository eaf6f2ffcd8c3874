"""Decide whether a host's key is the right one. Fabric itself accepts every key (fabric#2071).

`ssh-keygen -F` looks names up: hashed names, patterns, marks and lines that cannot be read are its business.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kamal_dev.errors import HostUnreachable
from kamal_dev.shell.way import Way

PLAIN, AUTHORITY, REVOKED = "", "@cert-authority", "@revoked"
LOOK_UP = 10  # seconds

_writing = threading.Lock()


@dataclass(frozen=True)
class HostKeyEntry:
    """Hold one line that is about a host: its mark, the key as base64, and its file."""

    mark: str
    kind: str
    key: str
    file: str


@dataclass(frozen=True)
class KnownKeys:
    """Hold what the files say of a host under its own name, and of its address on any port."""

    entries: tuple[HostKeyEntry, ...]
    portless: tuple[HostKeyEntry, ...] = ()

    def verdict(self, key: str) -> str:
        """Return `known`, `revoked`, `changed` or `unknown` for a key in base64, as OpenSSH decides."""
        every = (*self.entries, *self.portless)
        if any(entry.key == key for entry in every if entry.mark == REVOKED):
            return "revoked"
        plain = {entry.key for entry in self.entries if entry.mark == PLAIN}
        if key in plain or (not plain and any(entry.key == key for entry in self.portless if entry.mark == PLAIN)):
            return "known"
        return "changed" if plain else "unknown"

    @property
    def has_authority(self) -> bool:
        """Whether a certificate of the host would be believed."""
        return any(entry.mark == AUTHORITY for entry in (*self.entries, *self.portless))

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of keys that are known, which the host is asked for first."""
        plain = [entry.kind for entry in (*self.entries, *self.portless) if entry.mark == PLAIN]
        return tuple(dict.fromkeys(plain))

    @property
    def file(self) -> str:
        """The first file that has a key of the host."""
        return next((entry.file for entry in self.entries if entry.mark == PLAIN), "")


def known(way: Way) -> KnownKeys:
    """Look a host up in every file that ssh would read. Raises HostUnreachable."""
    files = (*way.known_hosts, *way.global_known_hosts)
    try:
        return _known(way, files)
    except (OSError, subprocess.SubprocessError) as error:
        raise HostUnreachable(
            way.stack, f"known_hosts could not be read: {error}", hint="`ssh-keygen` of OpenSSH is needed for it"
        ) from error


def _known(way: Way, files: tuple[str, ...]) -> KnownKeys:
    entries = _entries(way.known_as, files)
    if way.alias or way.port == 22 or any(entry.mark == PLAIN for entry in entries):
        return KnownKeys(entries)
    return KnownKeys(entries, _entries(way.hostname, files))


def _entries(name: str, files: tuple[str, ...]) -> tuple[HostKeyEntry, ...]:
    return tuple(entry for file in files if Path(file).is_file() for entry in _found(name, file))


def _found(name: str, file: str) -> Iterator[HostKeyEntry]:
    # ssh asks for a name in small letters, and so are they recorded.
    words = ("ssh-keygen", "-F", name.lower(), "-f", file)
    done = subprocess.run(words, check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=LOOK_UP)
    for line in done.stdout.decode("latin-1").splitlines():
        fields = line.split()
        mark = fields.pop(0) if fields and fields[0].startswith("@") else PLAIN
        if len(fields) >= 3 and not line.startswith("#"):
            yield HostKeyEntry(mark, fields[1], fields[2], file)


def pin(path: Path, name: str, key: str) -> None:
    """Make `key` (`type base64`) the only one under a name: the provider vouches for it."""
    with _writing:
        lines = path.read_bytes().splitlines() if path.exists() else []
        wanted = f"{name} {key}".encode()
        if wanted in lines:
            return
        kept = [line for line in lines if line.split(b" ", 1)[0] != name.encode()]
        _replace(path, b"\n".join([*kept, wanted]) + b"\n")


def remember(path: Path, name: str, key: str) -> None:
    """Record the key (`type base64`) of a host that nobody has met, in a single write."""
    with _writing:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{name} {key}\n".encode())
        finally:
            os.close(descriptor)


def _replace(path: Path, text: bytes) -> None:
    fresh = path.with_suffix(f".{os.getpid()}.tmp")
    fresh.write_bytes(text)
    fresh.chmod(0o600)
    fresh.replace(path)
