"""The key with which a project reaches the hosts created for it. Does not touch the user's own keys."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

NAME = "id_ed25519"


def ensure(directory: Path) -> tuple[Path, str]:
    """Return the private key's path and the public key line; makes the pair where there is none.

    Two runs that start together agree on one key. `directory` is made with mode 0700 if absent.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private, public = directory / NAME, directory / f"{NAME}.pub"
    if not private.exists():
        _place(private, _generate())
    if not public.exists():
        _place(public, _public_half(private))
    return private, public.read_text(encoding="utf-8").strip()


def _place(path: Path, content: bytes) -> None:
    """Write a file whole and 0600; where another run was faster, keep what is there."""
    descriptor, fresh = tempfile.mkstemp(prefix=".key-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        Path(fresh).unlink()


def _generate() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


def _public_half(private: Path) -> bytes:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_ssh_private_key(private.read_bytes(), None).public_key()
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH) + b" kamal-dev\n"
