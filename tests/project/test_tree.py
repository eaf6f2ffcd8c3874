import os
from pathlib import Path

import pytest

from kamal_dev.project.tree import WorkingTree


def test_a_file_is_read_once(tmp_path: Path) -> None:
    tree = WorkingTree()
    (tmp_path / "a").write_bytes(b"before")
    assert tree.read(tmp_path / "a") == b"before"
    (tmp_path / "a").write_bytes(b"after")
    assert tree.read(tmp_path / "a") == b"before"


def test_what_never_ends_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert WorkingTree().kind(path) == ""
        with pytest.raises(OSError, match="is not a regular file"):
            WorkingTree().read(path)


def test_a_loop_of_links_is_neither_file_nor_folder(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    tree = WorkingTree()
    assert (tree.kind(tmp_path / "loop"), tree.list(tmp_path / "loop")) == ("", ())
    assert tree.real(tmp_path / "loop") == tmp_path / "loop"
