"""The SSH key for the hosts created for a project. Does not touch the user's own keys."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from kamal_dev.errors import ProviderError

NAME = "id_ed25519"
COMMENT = "kamal-dev"
MAKING = 30  # seconds


def ensure(directory: Path) -> tuple[Path, str]:
    """Return the private key's path and the public key line; creates the pair if there is none.

    Raises ProviderError. Two runs that start together agree on one key. `directory` is created with mode 0700 if it
    is missing.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    private, public = directory / NAME, directory / f"{NAME}.pub"
    if not private.exists():
        _place(private, _generate(directory))
    if not public.exists():
        _place(public, _public_half(private))
    return private, public.read_text(encoding="utf-8").strip()


def _place(path: Path, content: bytes) -> None:
    """Write a complete file with mode 0600; if another run was faster, keep its file."""
    descriptor, fresh = tempfile.mkstemp(prefix=".key-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        Path(fresh).unlink()


def _generate(parent: Path) -> bytes:
    with tempfile.TemporaryDirectory(prefix=".key-", dir=parent) as folder:
        path = Path(folder) / NAME
        _keygen("-q", "-t", "ed25519", "-N", "", "-C", COMMENT, "-f", str(path))
        return path.read_bytes()


def _public_half(private: Path) -> bytes:
    kind, key = _keygen("-y", "-f", str(private)).split()[:2]
    return b" ".join((kind, key, COMMENT.encode())) + b"\n"


def _keygen(*words: str) -> bytes:
    """Run ssh-keygen. Raises ProviderError."""
    try:
        return subprocess.run(
            ("ssh-keygen", *words), check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=MAKING
        ).stdout
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    raise ProviderError(f"the SSH key of the project cannot be used: {reason}", hint="`dev doctor` checks OpenSSH")
