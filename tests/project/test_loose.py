"""Whether compressing is worth its time is told by the large objects that git has not packed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from kamal_dev.project import loose


def test_git_may_pack_objects_while_they_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "05"
    monkeypatch.setattr(Path, "glob", lambda *_: iter((gone,)))
    assert loose.is_compressible(tmp_path)


@pytest.mark.parametrize(("content", "is_compressible"), [(os.urandom(3 << 20), False), (bytes(3 << 20), True)])
def test_only_much_that_does_not_shrink_is_sent_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, is_compressible: bool
) -> None:
    subprocess.run(("git", "init", "--quiet", str(tmp_path)), check=True)
    store = ("git", "-C", str(tmp_path), "hash-object", "-w", "--stdin")
    subprocess.run(store, check=True, input=content, stdout=subprocess.DEVNULL)
    assert loose.is_compressible(tmp_path / ".git/objects")
    monkeypatch.setattr(loose, "MUCH", 2 << 20)
    assert loose.is_compressible(tmp_path / ".git/objects") is is_compressible
