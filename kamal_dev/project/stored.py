"""Find large files that git has stored whole, and read them as they are stored, without hashing them again.

A loose object is a file already. One inside a pack is copied, together with others, into a pack with its own index.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

from kamal_dev.values import dataclass

LARGE = 1 << 18  # bytes of an object that are worth it
MUCH = 32 << 20  # bytes that take longer to pack than to send
LONGEST_INDEX = 16 << 20  # bytes of the index of a pack with half a million objects, which is not read
PIECE = 1 << 18
PACK_HEAD, INDEX_HEAD = b"PACK\0\0\0\2", b"\377tOc\0\0\0\2"
FANOUT = 256
WIDTHS = (20, 32)  # bytes of the name of an object
BLOB = 3
LONG = 1 << 31  # offsets beyond are in a table of their own


@dataclass(frozen=True)
class StoredObject:
    """Describe the bytes of an object in the `file` of a store; `crc` is their checksum in a pack, None if loose."""

    name: str
    file: Path
    offset: int
    size: int
    crc: int | None = None

    def pieces(self) -> Iterator[bytes]:
        """Yield the bytes. Raises OSError if there are fewer, or others."""
        remaining, crc = self.size, 0
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.offset)
            while remaining:
                if not (piece := file.read(min(remaining, PIECE))):
                    raise OSError(f"{self.file} is too short")
                remaining -= len(piece)
                crc = crc if self.crc is None else zlib.crc32(piece, crc)
                yield piece
        if crc != (self.crc or 0):
            raise OSError(f"{self.file} is damaged")


def kept(objects: Iterable[StoredObject], folder: Path) -> tuple[StoredObject, ...]:
    """Return them with links to their files in `folder`: git deletes files whose objects it has packed elsewhere."""
    links: dict[Path, Path] = {}
    linked = []
    for one in objects:
        if one.file not in links:
            links[one.file] = _linked(one.file, folder / f"{len(links)}.stored")
        linked.append(replace(one, file=links[one.file]))
    return tuple(linked)


def _linked(file: Path, link: Path) -> Path:
    # Other file systems, and files of other users, cannot be linked to: they are read where they are.
    with suppress(OSError):
        os.link(file.resolve(), link)
        return link
    return file


def large_objects(*stores: Path) -> dict[str, StoredObject]:
    """Return the large files in these object folders, by name; empty if they are not worth it."""
    objects = {one.name: one for store in stores for one in (*_loose(store), *_packed(store))}
    return objects if sum(one.size for one in objects.values()) >= MUCH else {}


def _loose(store: Path) -> Iterator[StoredObject]:
    for folder in store.glob("[0-9a-f][0-9a-f]"):
        # git may be packing them in the background, as it does after a large commit.
        with suppress(FileNotFoundError), os.scandir(folder) as files:
            for file in files:
                if (size := file.stat().st_size) >= LARGE and _is_blob(path := Path(file.path)):
                    yield StoredObject(folder.name + file.name, path, 0, size)


def _is_blob(path: Path) -> bool:
    with suppress(OSError, zlib.error), path.open("rb") as file:
        return zlib.decompressobj().decompress(file.read(64), 5) == b"blob "
    return False


def _packed(store: Path) -> Iterator[StoredObject]:
    for index in store.glob("pack/pack-*.idx"):
        # What is read here is not checked by git: a damaged index may lead anywhere.
        with suppress(OSError, struct.error, IndexError, OverflowError):
            pack = index.with_suffix(".pack")
            if pack.stat().st_size >= MUCH and index.stat().st_size <= LONGEST_INDEX:
                yield from _in_pack(pack, index.read_bytes())


def _in_pack(pack: Path, index: bytes) -> Iterator[StoredObject]:
    """Yield the large files that are stored whole, not as a difference to another."""
    names_at = len(INDEX_HEAD) + 4 * FANOUT
    (count,) = struct.unpack_from(">I", index, names_at - 4)
    width = len(pack.stem.partition("-")[2]) // 2
    if not index.startswith(INDEX_HEAD) or width not in WIDTHS:
        return
    crcs_at = names_at + width * count
    offsets = _offsets(index, crcs_at + 4 * count, count)
    order = sorted(range(count), key=offsets.__getitem__)
    with pack.open("rb", buffering=0) as file:
        ends = (*(offsets[each] for each in order), pack.stat().st_size - width)
        for at, (start, end) in zip(order, pairwise(ends), strict=True):
            if end - start >= LARGE and os.pread(file.fileno(), 1, start)[0] >> 4 & 7 == BLOB:
                name = index[names_at + width * at :][:width].hex()
                (crc,) = struct.unpack_from(">I", index, crcs_at + 4 * at)
                yield StoredObject(name, pack, start, end - start, crc)


def _offsets(index: bytes, at: int, count: int) -> list[int]:
    """Return where the objects start, in the order of their names."""
    after = at + 4 * count
    short = struct.unpack_from(f">{count}I", index, at)
    return [struct.unpack_from(">Q", index, after + 8 * (each - LONG))[0] if each >= LONG else each for each in short]


class StoredFiles:
    """Read objects as a tar of files for an object folder; `error` says why it could not be read to its end."""

    def __init__(self, objects: Iterable[StoredObject]) -> None:
        chosen = sorted(objects, key=lambda one: one.name)
        self.error: OSError | None = None
        self._loose = [one for one in chosen if one.crc is None]
        self._packed = {one.name: one for one in chosen if one.crc is not None}

    def frames(self) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Yield the tar: the number of bytes, and the bytes. Raises OSError."""
        for one in self._loose:
            yield _member(f"{one.name[:2]}/{one.name[2:]}", one.size, self._noted(one.pieces()))
        if self._packed:
            own = NewPack(self._packed)
            yield _member(f"pack/pack-{own.name}.pack", own.size, self._noted(own.pieces()))
            index = own.index()
            yield _member(f"pack/pack-{own.name}.idx", len(index), iter((index,)))
        yield 2 * tarfile.BLOCKSIZE, iter((bytes(2 * tarfile.BLOCKSIZE),))

    def _noted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from pieces
        except OSError as error:
            self.error = error
            raise


def _member(name: str, size: int, pieces: Iterator[bytes]) -> tuple[int, Iterator[bytes]]:
    about = tarfile.TarInfo(name)
    about.size, about.mode = size, 0o444
    head, rest = about.tobuf(tarfile.GNU_FORMAT), bytes(-size % tarfile.BLOCKSIZE)

    def whole() -> Iterator[bytes]:
        yield head
        yield from pieces
        yield rest

    return len(head) + size + len(rest), whole()


class NewPack:
    """Write objects of other packs as a pack; `index` is complete once all `pieces` were read."""

    def __init__(self, objects: Mapping[str, StoredObject]) -> None:
        self._objects = [objects[name] for name in sorted(objects)]
        names = [bytes.fromhex(one.name) for one in self._objects]
        # The length of a name tells which hash git uses in this repository.
        self._new_hash = partial(hashlib.new, "sha1" if len(names[0]) == 20 else "sha256", usedforsecurity=False)
        self._names = names
        self._checksum = b""
        self.name = self._new_hash(b"".join(names)).hexdigest()
        self.size = 12 + sum(one.size for one in self._objects) + len(names[0])

    def pieces(self) -> Iterator[bytes]:
        """Yield the pack."""
        head = PACK_HEAD + struct.pack(">I", len(self._objects))
        checksum = self._new_hash(head)
        yield head
        for one in self._objects:
            for piece in one.pieces():
                checksum.update(piece)
                yield piece
        self._checksum = checksum.digest()
        yield self._checksum

    def index(self) -> bytes:
        """Return the index."""
        count = len(self._names)
        firsts = [sum(name[0] <= first for name in self._names) for first in range(FANOUT)]
        starts = [12]
        for one in self._objects[:-1]:
            starts.append(starts[-1] + one.size)
        long = [start for start in starts if start >= LONG]
        short = [LONG + long.index(start) if start >= LONG else start for start in starts]
        text = INDEX_HEAD + struct.pack(f">{FANOUT}I", *firsts) + b"".join(self._names)
        text += struct.pack(f">{count}I", *(one.crc or 0 for one in self._objects))
        text += struct.pack(f">{count}I", *short) + struct.pack(f">{len(long)}Q", *long) + self._checksum
        return text + self._new_hash(text).digest()
