"""Temporary folders: deleted with the run, even if an interrupt ends it before the thread that uses one."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kamal_dev.project import temporary

INTERRUPTED = """
import sys, threading
from pathlib import Path
from kamal_dev import cli
from kamal_dev.cli import exit
from kamal_dev.project import temporary

is_open = threading.Event()

def build():
    with temporary.folder("built", Path(sys.argv[1])) as folder:
        (folder / "report.json").touch()
        is_open.set()
        threading.Event().wait()

def interrupted(app, args):
    threading.Thread(target=build, daemon=True).start()
    is_open.wait()
    return exit.INTERRUPTED

exit.guarded = interrupted
cli.main()
"""


def test_an_interrupt_deletes_the_folder_of_a_thread_that_still_uses_it(tmp_path: Path) -> None:
    done = subprocess.run((sys.executable, "-c", INTERRUPTED, tmp_path), check=False)
    assert done.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_no_folder_is_made_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary, "_is_over", threading.Event())
    with temporary.folder("tree", tmp_path) as kept:
        temporary.delete_all()
        assert not kept.exists()
    with pytest.raises(InterruptedError), temporary.folder("tree", tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_a_process_that_has_ended_is_deleted_by_the_next(tmp_path: Path) -> None:
    ended = subprocess.run(("sh", "-c", "echo $$"), capture_output=True, text=True, check=True).stdout.strip()
    left = tmp_path / f"kamal-dev-images-{ended}-abcd1234"
    left.mkdir()
    with temporary.folder("images", tmp_path) as made:
        assert not left.exists()
        assert made.exists()
    assert list(tmp_path.iterdir()) == []
