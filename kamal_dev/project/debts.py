"""Remember across runs which stacks still need the hook `docker-setup`: `.kamal/local/docker-setup`, one per line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kamal_dev.project.locks import Say, held
from kamal_dev.project.state import put

NAME = "docker-setup"
WAIT = 10.0

Stacks = frozenset[str]


def read(folder: Path) -> Stacks:
    """Return the stacks that still need it. Raises OSError."""
    try:
        return frozenset((folder / NAME).read_text(errors="replace").split())
    except FileNotFoundError:
        return frozenset()


def update(folder: Path, change: Callable[[Stacks], Stacks], *, say: Say) -> None:
    """Change the list by rename and under a lock. Raises OSError, and DevError if the lock is held for too long."""
    with held(folder / f".{NAME}.lock", "is recording pending work of hosts", say=say, wait=WAIT):
        stacks = change(read(folder))
        put(folder / NAME, "".join(f"{stack}\n" for stack in sorted(stacks)).encode(), is_safe=True)
