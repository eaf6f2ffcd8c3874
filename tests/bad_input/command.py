"""Run `dev` as a process of its own, watched: what it says, what it takes, what it writes, whom it asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests import dev

DEVCONTAINER = ".devcontainer/devcontainer.json"
COMPOSE = ".devcontainer/compose.yaml"
CONFIG = "config/dev.yml"
SECRETS = ".kamal/secrets"

# Programs that reach an engine or a host; here they only write down that they were called.
OUTWARD = ("docker", "ssh", "scp", "ssh-keygen")


@dataclass(frozen=True)
class Input:
    """Describe a repository called `app`, and what is typed in it.

    `links` are symbolic links; `says` is a regular expression that stderr has, or
    stdout where nothing is refused.
    """

    says: str
    files: dict[str, str | bytes] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """Say how the process ended; `seconds` is processor time, `megabytes` the most it held."""

    exit_code: int
    output: str
    errors: str
    seconds: float
    megabytes: float
    calls: tuple[str, ...]


def write(given: Input, above: Path) -> Path:
    """Make the repository in `above`."""
    root = above / "app"
    root.mkdir()
    for name, content in given.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name, target in given.links.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return root


def run(root: Path, words: tuple[str, ...], environment: dict[str, str]) -> Ended:
    """Run `dev` in `root`; the programs that it may not call are beside the repository."""
    aside = root.parent / "aside"
    programs, log = aside / "bin", aside / "calls"
    programs.mkdir(parents=True)
    for name in OUTWARD:
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{log}"\nexit 1\n')
        (programs / name).chmod(0o755)
    clean = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(aside), "USER": "tester", "LANG": "C.UTF-8"}
    finished = dev.run(words, cwd=root, env={**clean, **environment})
    return Ended(
        finished.returncode,
        finished.stdout,
        finished.stderr,
        finished.seconds,
        finished.megabytes,
        tuple(log.read_text().splitlines()) if log.exists() else (),
    )


def content(root: Path) -> dict[str, bytes]:
    """Return everything in a repository."""
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        for path in sorted(root.rglob("*"))
        if not path.is_dir()
    }
