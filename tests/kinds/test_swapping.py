"""Old and new data change places (`host/swap.sh`), and return wherever that was ended. No engine is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.hosts import FOLDER
from tests.shells import SHELLS

# Stands for each program that changes something: at its turn, everything is killed,
# before or after it has worked, or in between.
KILLING = """#!/bin/sh
read -r turn <"$TURNS" && turn=$((turn + 1)) && echo "$turn" >"$TURNS"
[ "$turn" = "$KILLED_AT" ] || exec {program} "$@"
case $KILLED_WHEN:{name}:$1 in
  after:*) {program} "$@" ;;
  between:mv:-t) {program} "$1" "$2" "$4" ;;
esac
kill -s KILL 0
"""
PROGRAMS = ("mv", "rm", "mkdir", "ln", "cp", "chown", "chmod", "sync")
NEVER = 0


@dataclass(frozen=True)
class Swapped:
    """Two folders with old data, the new data, and the folder that the old data is kept in."""

    folder: Path
    staged: Path
    names: tuple[str, ...] = ("data", "logs")

    def swap(self, way: str, shell: str = "sh", killed_at: int = NEVER, when: str = "after") -> int:
        lines = [f"{self.folder}/{name} {self.staged}/new/{name} {self.staged}/old/{name}\n" for name in self.names]
        (self.folder / "swaps").write_text("".join(lines))
        (self.folder / "turns").write_text("0\n")
        variables = {"TURNS": f"{self.folder}/turns", "KILLED_AT": f"{killed_at}", "KILLED_WHEN": when}
        environment = {**variables, "PATH": f"{self.folder}/bin:{os.environ['PATH']}"}
        argv = (*shell.split(), FOLDER / "swap.sh", way, self.folder / "swaps")
        ended = subprocess.run(
            argv, check=False, env=environment, capture_output=True, timeout=30, start_new_session=True
        )
        return ended.returncode

    def fill(self) -> None:
        for name in self.names:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        for path in self.staged.iterdir():
            shutil.rmtree(path)
        for name in self.names:
            for folder, text in ((self.folder / name, "old"), (self.staged / "new" / name, "new")):
                (folder / "sub").mkdir(parents=True)
                (folder / "sub/file").write_text(f"{text} {name}")
                (folder / f".hidden {text}").write_text("")
                (folder / "two\nlines").write_text(text)
                (folder / "link").symlink_to(f"/{text}")
            (self.folder / name).chmod(0o755)
            (self.staged / "new" / name).chmod(0o700)

    def content(self, name: str) -> dict[str, str]:
        """What a folder has, and its mode."""
        folder = self.folder / name
        files = {
            str(path.relative_to(folder)): str(path.readlink()) if path.is_symlink() else path.read_text()
            for path in folder.rglob("*")
            if path.is_symlink() or not path.is_dir()
        }
        return {**files, "mode": oct(folder.stat().st_mode & 0o777)}

    def is_all(self, text: str) -> bool:
        """Whether both folders have the old, or the new, data, and nothing else."""
        mode = "0o755" if text == "old" else "0o700"
        files = {f".hidden {text}": "", "two\nlines": text, "link": f"/{text}", "mode": mode}
        return all(self.content(name) == {**files, "sub/file": f"{text} {name}"} for name in self.names)


@pytest.fixture(params=["one disk", "two disks"])
def swapped(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Swapped]:
    (tmp_path / "bin").mkdir()
    for name in PROGRAMS:
        # What was written is on the disk anyhow; to wait for the disk of the machine takes long.
        program = "true" if name == "sync" else shutil.which(name)
        (tmp_path / "bin" / name).write_text(KILLING.format(program=program, name=name))
        (tmp_path / "bin" / name).chmod(0o755)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if request.param == "two disks" else tmp_path) as staged:
        made = Swapped(tmp_path, Path(staged))
        made.fill()
        yield made


@pytest.mark.parametrize("shell", SHELLS)
def test_the_data_changes_places_and_returns(swapped: Swapped, shell: str) -> None:
    assert swapped.swap("forth", shell) == 0
    assert swapped.is_all("new")
    assert swapped.swap("back", shell) == 0
    assert swapped.is_all("old")
    assert swapped.swap("back", shell) == 0, "twice is harmless"
    assert swapped.is_all("old")


def test_a_failure_in_the_middle_is_undone(swapped: Swapped) -> None:
    shutil.rmtree(swapped.staged / "new/logs")
    assert swapped.swap("forth") == 1
    assert swapped.content("data")["sub/file"] == "new data"
    assert not (swapped.folder / "logs/sub").exists()
    assert swapped.swap("back") == 0
    assert swapped.is_all("old")


@pytest.fixture
def single(swapped: Swapped) -> Swapped:
    return replace(swapped, names=("data",))


def turns(swapped: Swapped, way: str) -> range:
    """Run it to its end, and return the turns at which it can be killed; on two disks there are many more."""
    assert swapped.swap(way) == 0
    count = int((swapped.folder / "turns").read_text())
    return range(1, count + 1, 1 if count < 40 else 5)


@pytest.mark.parametrize("when", ["between", "after"])
def test_wherever_it_is_killed_the_old_data_returns(single: Swapped, when: str) -> None:
    for turn in turns(single, "forth"):
        single.fill()
        assert single.swap("forth", killed_at=turn, when=when) != 0
        if not (later := single.folder / "data/link").is_symlink():
            # What a service writes that is started with its host, and does not find it.
            later.symlink_to("/later")
        assert single.swap("back") == 0
        assert single.is_all("old"), turn


def test_wherever_the_return_is_killed_the_next_one_ends_it(single: Swapped) -> None:
    single.swap("forth")
    for turn in turns(single, "back"):
        single.fill()
        single.swap("forth")
        assert single.swap("back", killed_at=turn, when="between") != 0
        assert single.swap("back") == 0
        assert single.is_all("old"), turn
