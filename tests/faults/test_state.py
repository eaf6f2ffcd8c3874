"""Faults 27 and 28: two at once, and what this machine remembers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.faults.standing import Standing
from tests.faults.table import Fault, produces
from tests.faults.twice import at_once
from tests.real.lab import Ended, run


@produces(
    Fault(27, "Two people deploy to the same stack at once", sees="Deployed 1 of 1 stacks", is_slow=True),
)
def test_two_deploys_at_once_must_both_end_truthfully(standing: Standing, fault: Fault) -> None:
    ended: list[Ended] = []
    at_once(standing, ended)
    # Whether one meets the lock of the other depends on the moment.
    fault.told(max(ended, key=lambda one: (one.code == 0, "Waiting for `" in one.stderr)))


@produces(
    Fault(
        28,
        "The state file is truncated",
        sees="state.json: is damaged",
        how='{"version": 1, "ser',
        is_slow=True,
    ),
    Fault(
        28,
        "The state file was written by a newer version",
        sees="newer version of kamal-dev (99)",
        how='{"version": 99}',
        is_slow=True,
    ),
    Fault(
        28, "The state file can be neither read nor written", sees="state.json: cannot be read", how=None, is_slow=True
    ),
)
def test_a_state_file_that_is_of_no_use_must_cost_nothing(standing: Standing, fault: Fault) -> None:
    path = standing.repository.root / ".kamal/local/state.json"
    if fault.how:
        path.write_text(fault.how)
    else:
        path.unlink()
        path.mkdir()
    try:
        standing.change()
        ended = standing.deploy(code=0)
        listed = standing.repository.dev("list", "--json").json
        assert fault.how is None or "99" not in fault.how or json.loads(path.read_text()) == {"version": 99}
    finally:
        path.unlink() if path.is_file() else path.rmdir()
    fault.told(ended)
    assert [(stack["stack"], stack["state"]) for stack in listed] == [(standing.stack, "up")]
    standing.endures(ended, state="deployed", version=standing.repository.sha)


@contextmanager
def _on_a_disk(folder: Path, *, is_full: bool) -> Iterator[None]:
    """Move a folder to a disk of its own, which is either full or read-only."""
    kept = folder.with_name("kept-aside")
    shutil.copytree(folder, kept)
    run("mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(folder))
    try:
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        if is_full:
            _fill(folder / "filler")
        else:
            run("mount", "-o", "remount,ro", str(folder))
        yield
    finally:
        run("umount", str(folder))
        shutil.rmtree(kept)


def _fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


@produces(
    Fault(
        28,
        "The disk with .kamal/local is full",
        sees="state.json: could not be written (No space left on device); continuing without it",
        do="free disk space on this machine",
        how=True,
    ),
    Fault(
        28,
        "The folder .kamal/local is read-only",
        sees="cannot be written (Read-only file system) …state.json: could not be written (Read-only file system); "
        "continuing without it",
        do="… needs room and write access",
        how=False,
        is_slow=True,
    ),
)
def test_a_memory_that_cannot_be_written_must_be_named_and_kept(standing: Standing, fault: Fault) -> None:
    folder, before = standing.repository.root / ".kamal/local", standing.version
    standing.change()
    with _on_a_disk(folder, is_full=fault.how):
        state = (folder / "state.json").read_text()
        ended = standing.deploy()
        assert (folder / "state.json").read_text() == state
    fault.told(ended)
    standing.endures(ended, state="failed", version=before)
