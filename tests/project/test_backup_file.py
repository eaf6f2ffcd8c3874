"""The file of a backup: whole, readable by tar, and refused if it is damaged or hostile."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from kamal_dev.commands.backup import BackupManifest, parts_of
from kamal_dev.errors import DevError, UsageError
from kamal_dev.project import backup_file, backup_tar

ABOUT = BackupManifest("guestbook-1", "guestbook", "v1", "2026-01-02T03:04:05Z", "kamal-dev 1")


def entry(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", device: tuple[int, int] = (0, 0)
) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, link, len(content)
    member.devmajor, member.devminor = device
    return member, content


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in entries:
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


GOOD = (
    entry("volumes/data", kind=tarfile.DIRTYPE),
    entry("volumes/data/table", os.urandom(3_000_000)),
    entry("volumes/data/again", kind=tarfile.LNKTYPE, link="volumes/data/table"),
    entry("volumes/cache/" + "long/" * 60 + "name", b"x"),
    entry("workspace/bin/python", kind=tarfile.SYMTYPE, link="/usr/bin/python3"),
    entry("workspace/pipe", kind=tarfile.FIFOTYPE),
)


def saved(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> BackupManifest:
    return backup_file.save(path, io.BytesIO(gzip.compress(tar(*entries))), ABOUT, lambda count: None)


def checked(path: Path) -> None:
    backup_file.check(path, backup_file.described(path), lambda count: None)


def test_what_is_saved_is_described_checked_and_sent_as_it_came(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    about = saved(path, *GOOD)
    assert backup_file.described(path) == about
    assert about.names == ("volumes/data", "volumes/cache", "workspace")
    assert [part.files for part in about.parts] == [3, 1, 2]
    assert about.parts[0].bytes == 3 * 512 + (3_000_000 + 511) // 512 * 512
    checked(path)
    assert gzip.decompress(b"".join(backup_file.gzipped(path))) == tar(*GOOD)
    assert [file.name for file in tmp_path.iterdir()] == ["backup"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_tar_reads_it_with_the_manifest_first(tmp_path: Path) -> None:
    saved(tmp_path / "backup", *GOOD)
    packed = (tmp_path / "backup").read_bytes()
    content = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True).read()
    listed = subprocess.run(["tar", "-tf", "-"], input=content, check=True, capture_output=True)
    names = listed.stdout.decode().splitlines()
    assert names[:2] == ["manifest.json", "volumes/data/"]
    assert len(names) == 1 + len(GOOD)


def test_sparse_files_and_attributes_as_tar_writes_them_are_counted(tmp_path: Path) -> None:
    folder = tmp_path / "tree/volumes/data"
    folder.mkdir(parents=True)
    with (folder / "sparse").open("wb") as file:
        file.truncate(50_000_000)
        file.seek(20_000_000)
        file.write(b"content")
    (folder / "after").write_text("after")
    argv = ("tar", "--format=posix", "--sparse", "-cf", "-", "-C", tmp_path / "tree", "volumes/data")
    stream = subprocess.run(argv, check=True, capture_output=True).stdout
    about = backup_file.save(tmp_path / "backup", io.BytesIO(gzip.compress(stream)), ABOUT, lambda count: None)
    assert about.parts[0].files == 3
    assert about.parts[0].bytes < 100_000
    checked(tmp_path / "backup")


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (entry("/etc/passwd", b"x"), "points outside"),
        (entry("volumes/data/../../etc/passwd", b"x"), "points outside"),
        (entry("etc/passwd", b"x"), "belongs to no volume"),
        (entry("volumes", kind=tarfile.DIRTYPE), "belongs to no volume"),
        (entry("volumes/data/sda", kind=tarfile.BLKTYPE), "a device"),
        (entry("volumes/data/null", kind=tarfile.CHRTYPE, device=(1, 3)), "a device"),
        (entry("volumes/data/link", kind=tarfile.LNKTYPE, link="workspace/bin/python"), "link that points outside"),
        (entry("volumes/data/link", kind=tarfile.LNKTYPE, link="/etc/shadow"), "points outside"),
        (entry("workspace/bin/python/x", b"x"), "through a symbolic link"),
        (entry("workspace", kind=tarfile.SYMTYPE, link="/etc"), "symbolic link"),
        (entry("workspace/" + "x/" * 3000, b"x"), "no file can have"),
    ],
)
def test_members_that_lead_out_are_refused(tmp_path: Path, bad: tuple[tarfile.TarInfo, bytes], words: str) -> None:
    ordered: Iterable[tuple[tarfile.TarInfo, bytes]]
    ordered = (bad, *GOOD) if bad[0].name.startswith("volumes") else (*GOOD, bad)
    with pytest.raises(DevError, match=words):
        saved(tmp_path / "backup", *ordered)
    assert list(tmp_path.iterdir()) == []


def test_the_marks_of_an_engine_in_a_container_are_kept(tmp_path: Path) -> None:
    mark = entry("volumes/data/diff/deleted", kind=tarfile.CHRTYPE)
    assert saved(tmp_path / "backup", mark).names == ("volumes/data",)
    checked(tmp_path / "backup")


def test_a_header_that_is_as_large_as_the_archive_is_not_read_into_memory() -> None:
    header = tarfile.TarInfo("././@PaxHeader")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    parts = iter((header.tobuf(tarfile.GNU_FORMAT), *(b"0" * backup_tar.BUFFER for _ in range(200))))

    class Endless:
        def read(self, size: int, /) -> bytes:
            return next(parts)

    with pytest.raises(DevError, match="header is too large"):
        backup_tar.parts(Endless(), lambda chunk: None)


def test_a_disk_that_is_full_is_an_error_with_what_to_do_and_leaves_nothing(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(DevError, match=r"could not write .*backup\.part") as raised:
            saved(tmp_path / "backup", *GOOD)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.hint == "is the disk full?"
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_another_command_is_writing_is_not_overwritten(tmp_path: Path) -> None:
    with backup_file._created(tmp_path / "backup.part") as other:
        other.write(b"other")
        other.flush()
        with pytest.raises(DevError, match="another backup is being written"):
            saved(tmp_path / "backup", *GOOD)
        assert (tmp_path / "backup.part").read_bytes() == b"other"
    # What a killed command has left is in nobody's way.
    saved(tmp_path / "backup", *GOOD)
    assert [file.name for file in tmp_path.iterdir()] == ["backup"]


def test_a_part_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DevError, match="twice"):
        saved(tmp_path / "backup", *GOOD, entry("volumes/data/more", b"x"))


def test_a_stream_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    stream = gzip.compress(tar(*GOOD))
    for content in (stream[:-100], stream[: len(stream) // 2], b"", gzip.compress(tar(*GOOD)[:-10240])):
        with pytest.raises(DevError):
            backup_file.save(tmp_path / "backup", io.BytesIO(content), ABOUT, lambda count: None)
    assert list(tmp_path.iterdir()) == []


def test_every_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    saved(path, *GOOD)
    whole = path.read_bytes()
    for position in (0, 3, 20, backup_file.ROOM + 2, backup_file.ROOM + 100, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        with pytest.raises(DevError, match="cannot be restored"):
            checked(path)
    for size in (0, 10, backup_file.ROOM, backup_file.ROOM + 50, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(DevError, match="cannot be restored"):
            checked(path)


def test_a_manifest_that_does_not_fit_the_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    about = saved(path, *GOOD)
    with pytest.raises(DevError, match="`workspace` does not match"):
        backup_file.check(path, replace(about, parts=about.parts[:2]), lambda count: None)


def test_another_format_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    about = saved(path, *GOOD)
    later = json.loads(about.as_json()) | {"format": 2}

    class Later(BackupManifest):
        def as_json(self) -> str:
            return json.dumps(later)

    with path.open("r+b") as file:
        file.write(backup_file._head(Later(**vars(about))))
    with pytest.raises(DevError, match="format is 2") as raised:
        backup_file.described(path)
    assert raised.value.hint == "upgrade kamal-dev"


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "backup").touch()
    with pytest.raises(UsageError, match="exists"):
        backup_file.available(tmp_path / "backup")
    with pytest.raises(UsageError, match="no folder"):
        backup_file.available(tmp_path / "none/backup")


def test_words_name_volumes_or_the_workspace() -> None:
    assert parts_of(("data", "workspace", "data")) == ("volumes/data", "workspace")
