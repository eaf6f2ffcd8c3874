"""A file is read while it is written, by several readers, a piece at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kamal_dev.project.growing import LEAST, GrowingFile


def content(file: GrowingFile) -> bytes:
    """Read all frames, each of the size that it says."""
    found = b""
    for size, pieces in file.frames():
        frame = b"".join(pieces)
        assert len(frame) == size
        found += frame
    return found


def test_readers_begin_before_the_end_is_there(tmp_path: Path) -> None:
    is_read = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield bytes(LEAST)
        assert is_read.wait(10)
        yield b"end"

    file = GrowingFile(tmp_path / "file", pieces())
    frames = file.frames()
    size, first = next(frames)
    assert (size, b"".join(first)) == (LEAST, bytes(LEAST))
    is_read.set()
    assert [content(file) for _ in range(2)] == [bytes(LEAST) + b"end"] * 2


def test_what_does_not_come_is_an_error_for_every_reader(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"begin"
        raise OSError("git exited 128")

    file = GrowingFile(tmp_path / "file", pieces())
    for _ in range(2):
        with pytest.raises(OSError, match="128"):
            content(file)
    assert str(file.error) == "git exited 128"


def test_an_empty_file_has_no_frame(tmp_path: Path) -> None:
    assert content(GrowingFile(tmp_path / "file", ())) == b""
