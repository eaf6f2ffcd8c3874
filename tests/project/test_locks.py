"""Locks between runs of `dev` on this machine."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kamal_dev.errors import DevError
from kamal_dev.project import debts
from kamal_dev.project.locks import held


def test_who_waits_for_a_lock_says_so_and_gets_it(tmp_path: Path) -> None:
    said: list[str] = []
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with held(tmp_path / "lock", "reads the source", say=print):
            taken.set()
            release.wait(30)

    def say(text: str) -> None:
        said.append(text)
        release.set()

    threading.Thread(target=hold, daemon=True).start()
    assert taken.wait(30)
    with held(tmp_path / "lock", "reads the source", say=say, silent=0.05):
        assert said == ["Waiting for another `dev`, which reads the source"]


def test_nobody_waits_for_a_lock_without_end(tmp_path: Path) -> None:
    with (
        held(tmp_path / "lock", "reads the source", say=print),
        pytest.raises(DevError, match="another `dev` reads the source, for longer than"),
        held(tmp_path / "lock", "reads the source", say=lambda _: None, silent=0.05, wait=0.05),
    ):
        pass


def test_what_hosts_are_owed_is_written_in_one_rename_and_by_one_at_a_time(tmp_path: Path) -> None:
    def owe(name: str) -> None:
        debts.update(tmp_path, lambda known: known | {name}, say=print)

    names = {f"blog-{number}" for number in range(20)}
    threads = [threading.Thread(target=owe, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert debts.read(tmp_path) == names
    debts.update(tmp_path, lambda known: known - names, say=print)
    assert debts.read(tmp_path) == set()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".docker-setup.lock", "docker-setup"]
