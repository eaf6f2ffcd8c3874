"""Large files are found and read as git has stored them, and git accepts what is written of them elsewhere."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from kamal_dev.project import stored
from kamal_dev.project.stored import NewPack, StoredFiles, StoredObject, kept, large_objects


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "LARGE", 10_000)
    monkeypatch.setattr(stored, "MUCH", 15_000)


def git(folder: Path, *words: str, content: bytes | None = None) -> str:
    done = subprocess.run(("git", "-C", str(folder), *words), check=True, input=content, capture_output=True)
    return done.stdout.decode().strip()


def repository(folder: Path, hashes: str = "sha1") -> Path:
    git(folder.parent, "init", "--quiet", f"--object-format={hashes}", str(folder))
    return folder


def store(folder: Path, content: bytes) -> str:
    return git(folder, "hash-object", "-w", "--stdin", content=content)


def pack(folder: Path, *names: str) -> None:
    objects = folder / ".git/objects"
    listed = "".join(f"{name}\n" for name in names).encode()
    git(folder, "pack-objects", "--quiet", str(objects / "pack/pack"), content=listed)
    git(folder, "prune-packed")


def copied(files: StoredFiles, folder: Path) -> set[str]:
    """Unpack the tar in another repository, and return the names in it."""
    data = io.BytesIO()
    for size, pieces in files.frames():
        content = b"".join(pieces)
        assert len(content) == size
        data.write(content)
    data.seek(0)
    with tarfile.open(fileobj=data) as tar:
        tar.extractall(folder / ".git/objects", filter="tar")
        return set(tar.getnames())


@pytest.mark.parametrize("hashes", ["sha1", "sha256"])
def test_loose_and_packed_files_are_the_same_elsewhere(tmp_path: Path, hashes: str) -> None:
    here, there = repository(tmp_path / "here", hashes), repository(tmp_path / "there", hashes)
    contents = [os.urandom(20_000 + number) for number in range(6)]
    names = [store(here, content) for content in contents]
    small = store(here, b"small")
    pack(here, *names[:2], small)
    pack(here, *names[2:4])
    found = large_objects(here / ".git/objects")
    assert found.keys() == set(names)
    copied(StoredFiles(found.values()), there)
    assert [git(there, "cat-file", "-s", name) for name in names] == [str(len(content)) for content in contents]
    git(there, "fsck", "--strict")
    for index in (there / ".git/objects/pack").glob("*.idx"):
        git(there, "verify-pack", str(index))


def test_differences_folders_and_what_is_small_are_not_sent_as_stored(tmp_path: Path) -> None:
    here = repository(tmp_path / "here")
    content = os.urandom(40_000)
    one, other, alone = store(here, content), store(here, content[:39_000] + b"x"), store(here, os.urandom(9_000))
    names = b"".join(b"100644 %05d\0%s" % (number, bytes.fromhex(alone)) for number in range(2_000))
    tree = git(here, "hash-object", "-w", "-t", "tree", "--stdin", content=names)
    assert large_objects(here / ".git/objects").keys() == {one, other}
    pack(here, one, other, alone, tree)
    assert len(large_objects(here / ".git/objects").keys() & {one, other}) == 1


def test_little_is_not_worth_it(tmp_path: Path) -> None:
    here = repository(tmp_path / "here")
    store(here, os.urandom(12_000))
    assert large_objects(here / ".git/objects") == {}


def test_git_may_pack_or_damage_objects_while_they_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "pack/pack-00.idx"
    broken.parent.mkdir()
    broken.write_bytes(stored.INDEX_HEAD)
    broken.with_suffix(".pack").write_bytes(bytes(20_000))
    assert large_objects(tmp_path) == {}
    misled = broken.with_name(f"pack-{'00' * 20}.idx")
    for entry in (b"\x70\0\0\0", b"\x80\0\0\0" + b"\xff" * 8, b"\x80\0\0\1"):
        count = b"\0\0\0\1"
        misled.write_bytes(stored.INDEX_HEAD + count * 256 + bytes(20) + bytes(4) + entry)
        misled.with_suffix(".pack").write_bytes(bytes(20_000))
        assert large_objects(tmp_path) == {}
    monkeypatch.setattr(Path, "glob", lambda *_: iter((tmp_path / "05",)))
    assert large_objects(tmp_path) == {}


def test_an_object_that_disappears_or_is_too_short_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "object"
    file.write_bytes(b"short")
    for path in (file, tmp_path / "none"):
        files = StoredFiles([StoredObject("ab" * 20, path, 0, 10)])
        with pytest.raises(OSError, match=r"too short|No such file"):
            copied(files, tmp_path)
        assert files.error


def test_a_damaged_object_of_a_pack_is_an_error(tmp_path: Path) -> None:
    here = repository(tmp_path / "here")
    pack(here, store(here, os.urandom(20_000)))
    found = large_objects(here / ".git/objects")
    (one,) = found.values()
    content = bytearray(one.file.read_bytes())
    content[one.offset + 9_000] ^= 1
    one.file.chmod(0o644)
    one.file.write_bytes(content)
    files = StoredFiles(found.values())
    with pytest.raises(OSError, match="damaged"):
        copied(files, tmp_path)
    assert files.error


def test_objects_are_still_read_after_git_has_packed_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = repository(tmp_path / "here"), repository(tmp_path / "there")
    names = [store(here, os.urandom(20_000 + number)) for number in range(3)]
    pack(here, *names[:2])
    folder = tmp_path / "links"
    folder.mkdir()
    objects = kept(large_objects(here / ".git/objects").values(), folder)
    for one in here.glob(".git/objects/**/*"):
        if one.is_file():
            one.unlink()
    copied(StoredFiles(objects), there)
    git(there, "fsck", "--strict")
    assert [git(there, "cat-file", "-s", name) for name in names] == ["20000", "20001", "20002"]
    monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError))
    assert kept(objects, folder) == objects


def test_a_pack_beyond_two_gigabytes_has_long_offsets(tmp_path: Path) -> None:
    sizes = (3 << 30, 5, 2 << 30, 7)
    objects = {
        f"{number:02}" * 20: StoredObject(f"{number:02}" * 20, tmp_path, 0, size, 1)
        for number, size in enumerate(sizes)
    }
    new = NewPack(objects)
    starts = stored._offsets(new.index(), 8 + 1024 + 4 * 20 + 4 * 4, 4)
    assert starts == [12, 12 + sizes[0], 12 + sum(sizes[:2]), 12 + sum(sizes[:3])]
    assert new.size == 12 + sum(sizes) + 20
