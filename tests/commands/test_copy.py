"""Where files are copied from and to, and what an archive of a container may write on this machine."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from kamal_dev.commands.copy import CopyPlace, CopyTarget, place
from kamal_dev.errors import DevError, UsageError
from kamal_dev.project import archive


@pytest.mark.parametrize(
    ("text", "stack", "service", "path"),
    [
        ("file", "", "", "file"),
        ("./blog-1:file", "", "", "./blog-1:file"),
        ("/a:b", "", "", "/a:b"),
        ("blog-1:log/dev.log", "blog-1", "", "log/dev.log"),
        ("blog-1:db:/tmp", "blog-1", "db", "/tmp"),
        ("blog-1:a:b", "blog-1", "", "a:b"),
        ("blog-1:", "blog-1", "", ""),
        ("blog-1:db:", "blog-1", "db", ""),
    ],
)
def test_a_place_is_in_a_stack_or_here(text: str, stack: str, service: str, path: str) -> None:
    assert place(text, ("blog-1",), ("app", "db")) == CopyPlace(path, stack, service)


@pytest.mark.parametrize("text", ["blog-2:file", "db:/tmp", "blog-1:dbb:/tmp"])
def test_a_place_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        place(text, ("blog-1",), ("app", "db"))


def test_a_container_without_a_shell_takes_files_of_root() -> None:
    assert CopyTarget.of("1000\n1001\nnone\n") == CopyTarget(1000, 1001, "none")
    assert CopyTarget.of("0\n0\nfile\n/a b/c\n") == CopyTarget(0, 0, "file", "/a b/c")
    assert CopyTarget.of("") == CopyTarget.of("exec: sh: not found") == CopyTarget(0, 0, "dir")


def tar(*members: tuple[str, str | bytes | None], mode: int = 0o4755) -> io.BytesIO:
    """Return an archive of names and contents: None for a folder, `->` and `=>` for symbolic and hard links."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as out:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.mode = mode
            if content is None:
                member.type = tarfile.DIRTYPE
            elif isinstance(content, str) and content[:2] in ("->", "=>"):
                member.type = tarfile.SYMTYPE if content[0] == "-" else tarfile.LNKTYPE
                member.linkname = content[2:]
            elif content == "fifo":
                member.type = tarfile.FIFOTYPE
            else:
                assert isinstance(content, bytes)
                member.size = len(content)
            out.addfile(member, io.BytesIO(content) if isinstance(content, bytes) else None)
    stream.seek(0)
    return stream


def unpack(stream: io.BytesIO, target: Path) -> list[str]:
    skipped: list[str] = []
    archive.unpack(stream, target, skipped.append)
    return skipped


def test_what_a_link_leads_to_gets_the_name_of_the_link(tmp_path: Path) -> None:
    assert archive.unpack(tar(("app-1.log", b"one")), tmp_path, lambda _: None, name="current") == 1
    assert archive.unpack(tar(("app-1.log", b"one")), tmp_path / "new", lambda _: None, name="current") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "new"]
    assert archive.unpack(tar(("pipe", "fifo")), tmp_path, lambda _: None) == 0


def test_a_folder_becomes_the_target_or_goes_into_it(tmp_path: Path) -> None:
    members = (("work", None), ("work/a", b"one"), ("work/b", "->a"), ("work/c", "=>work/a"))
    assert unpack(tar(*members), tmp_path / "new") == []
    assert unpack(tar(*members), tmp_path) == []
    for folder in (tmp_path / "new", tmp_path / "work"):
        assert {path.name: path.read_text() for path in folder.iterdir()} == {"a": "one", "b": "one", "c": "one"}
        assert (folder / "b").is_symlink()
        assert (folder / "a").stat().st_mode & 0o7777 == 0o755, "no set-user-ID bit"


def test_a_file_replaces_a_file_and_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "copy").symlink_to("precious")
    unpack(tar(("a", b"theirs")), tmp_path / "copy")
    assert ((tmp_path / "precious").read_text(), (tmp_path / "copy").read_text()) == ("mine", "theirs")
    assert not (tmp_path / "copy").is_symlink()


@pytest.mark.parametrize("name", ["../evil", "/evil", "work/../../evil"])
def test_a_name_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "in").mkdir()
    with pytest.raises(DevError, match="points outside"):
        unpack(tar(("work", None), (name, b"evil")), tmp_path / "in")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("to", ["/etc", "../..", "a/../../../x"])
def test_a_link_that_leads_out_is_skipped_and_nothing_is_written_through_it(tmp_path: Path, to: str) -> None:
    (tmp_path / "in").mkdir()
    skipped = unpack(tar(("work", None), ("work/link", f"->{to}"), ("work/link/file", b"evil")), tmp_path / "in")
    assert skipped == ["link"]
    assert (tmp_path / "in/work/link/file").read_bytes() == b"evil"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_a_link_that_is_here_already_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "in/work").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "in/work/sub").symlink_to(tmp_path / "outside")
    with pytest.raises(DevError, match="points outside"):
        unpack(tar(("work", None), ("work/sub/file", b"evil")), tmp_path / "in")
    assert list((tmp_path / "outside").iterdir()) == []


def test_special_files_are_skipped(tmp_path: Path) -> None:
    assert unpack(tar(("work", None), ("work/pipe", "fifo"), ("work/a", b"1")), tmp_path) == ["work/pipe"]


def test_what_is_packed_has_its_modes_and_another_owner(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/script").write_text("#!/bin/sh\n")
    (tmp_path / "folder/script").chmod(0o750)
    (tmp_path / "folder/link").symlink_to("script")
    os.mkfifo(tmp_path / "folder/pipe")
    stream = io.BytesIO()
    archive.pack(tmp_path / "folder", "new", 1500, 1501, stream)
    stream.seek(0)
    with tarfile.open(fileobj=stream) as packed:
        members = {member.name: (member.uid, member.gid, member.mode & 0o777) for member in packed}
    assert members["new/script"] == (1500, 1501, 0o750)
    assert set(members) == {"new", "new/script", "new/link"}
