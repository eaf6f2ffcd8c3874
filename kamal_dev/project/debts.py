"""Which stacks are owed the hook `docker-setup`, beyond one run: `.kamal/local/docker-setup`, a line each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kamal_dev.project.locks import Say, held
from kamal_dev.project.state import put

NAME = "docker-setup"
WAIT = 10.0

Stacks = frozenset[str]


def read(folder: Path) -> Stacks:
    """Return the stacks that are owed it. Raises OSError."""
    try:
        return frozenset((folder / NAME).read_text(errors="replace").split())
    except FileNotFoundError:
        return frozenset()


def update(folder: Path, change: Callable[[Stacks], Stacks], *, say: Say) -> None:
    """Change them, in one rename and under a lock. Raises OSError, and DevError where the lock is held for too long."""
    with held(folder / f".{NAME}.lock", "is recording pending work of hosts", say=say, wait=WAIT):
        stacks = change(read(folder))
        put(folder / NAME, "".join(f"{stack}\n" for stack in sorted(stacks)).encode(), is_safe=True)
