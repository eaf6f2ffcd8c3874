"""Old and new data change places (`host/swap.sh`), and return after a failure in the middle. No engine is needed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.hosts import FOLDER

SHELLS = [shell for shell in ("dash", "busybox sh", "bash") if shutil.which(shell.split()[0])]


def swap(tmp_path: Path, way: str, shell: str = "sh") -> int:
    names = ("data", "logs")
    lines = [f"{tmp_path}/{name} {tmp_path}/new/{name} {tmp_path}/old/{name}\n" for name in names]
    (tmp_path / "swaps").write_text("".join(lines))
    argv = (*shell.split(), FOLDER / "swap.sh", way, tmp_path / "swaps")
    return subprocess.run(argv, check=False, capture_output=True, timeout=30).returncode


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("data", "logs"):
        for folder, text in ((tmp_path / name, "old"), (tmp_path / "new" / name, "new")):
            (folder / "sub").mkdir(parents=True)
            (folder / "sub/file").write_text(f"{text} {name}")
            (folder / f".hidden {text}").write_text("")
        (tmp_path / name).chmod(0o755)
        (tmp_path / "new" / name).chmod(0o700)


def content(tmp_path: Path) -> list[str]:
    return [(tmp_path / name / "sub/file").read_text() for name in ("data", "logs")]


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("shell", SHELLS)
def test_the_data_changes_places_and_returns(tmp_path: Path, shell: str) -> None:
    assert swap(tmp_path, "forth", shell) == 0
    assert content(tmp_path) == ["new data", "new logs"]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".hidden new", "sub"]
    assert mode(tmp_path / "data") == 0o700
    assert swap(tmp_path, "back", shell) == 0
    assert content(tmp_path) == ["old data", "old logs"]
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == [".hidden old", "sub"]
    assert mode(tmp_path / "data") == 0o755
    assert swap(tmp_path, "back", shell) == 0, "twice is harmless"
    assert content(tmp_path) == ["old data", "old logs"]


def test_a_failure_in_the_middle_is_undone(tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "new/logs")
    assert swap(tmp_path, "forth") == 1
    assert (tmp_path / "data/sub/file").read_text() == "new data"
    assert not (tmp_path / "logs/sub").exists()
    (tmp_path / "new/logs").mkdir()
    assert swap(tmp_path, "back") == 0
    assert content(tmp_path) == ["old data", "old logs"]


def test_what_was_not_moved_yet_is_kept_when_it_is_undone(tmp_path: Path) -> None:
    # The script was killed while it moved the old data away.
    (tmp_path / "old/data").mkdir(parents=True)
    (tmp_path / "old/data.state").write_text("out\n")
    (tmp_path / "data/sub").rename(tmp_path / "old/data/sub")
    assert swap(tmp_path, "back") == 0
    assert content(tmp_path) == ["old data", "old logs"]
    assert (tmp_path / "data/.hidden old").exists()
