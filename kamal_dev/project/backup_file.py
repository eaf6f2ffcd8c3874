"""The file of a backup: a tar, compressed with zstd, that begins with a manifest.

The manifest is known last and comes first. Therefore the first 64 KiB of the file are reserved: a zstd frame with
manifest.json, then a skippable frame. The rest is one frame with the tar as the host sent it. `tar --zstd` reads both
as one archive. The file is called `….part` until it is complete.
"""

from __future__ import annotations

import fcntl
import io
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from kamal_dev.commands.backup import BackupManifest, manifest
from kamal_dev.errors import DevError, UsageError
from kamal_dev.project import backup_tar

ROOM = 1 << 16
LEVEL = 3
CHUNK = 1 << 18
NAME = "manifest.json"
_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPABLE = b"\x50\x2a\x4d\x18"
_FAST = 1
_GZIP = 31


def save(path: Path, stream: BinaryIO, about: BackupManifest, progress: Callable[[int], object]) -> BackupManifest:
    """Write the gzipped tar of a host to `path`, and return the manifest with its parts.

    `progress` is told the bytes of the tar so far. Nothing is left of a backup that fails. Raises DevError.
    """
    import zstandard

    part = _part(path)
    try:
        with _created(part) as file, _removed(part):
            file.write(b"\0" * ROOM)
            compressor = zstandard.ZstdCompressor(level=LEVEL, threads=-1, write_checksum=True)
            with compressor.stream_writer(file, closefd=False) as packed:
                counted = _Counted(packed.write, progress)
                parts = backup_tar.parts(Unzipped(stream), counted)
            complete = replace(about, parts=parts, packed=file.tell() - ROOM)
            file.seek(0)
            file.write(_head(complete))
            file.flush()
            os.fsync(file.fileno())
            part.rename(path)
    except BlockingIOError as error:
        raise DevError(f"another backup is being written to {part}", hint="`-o FILE` chooses another name") from error
    except OSError as error:
        raise DevError(f"could not write {part}: {error.strerror or error}", hint="is the disk full?") from error
    return complete


def discard(path: Path) -> None:
    """Remove a backup, complete or not."""
    for each in (_part(path), path):
        each.unlink(missing_ok=True)


def available(path: Path) -> Path:
    """Return the path of a new backup. Raises UsageError if something exists there, or its folder does not."""
    if path.exists():
        raise UsageError(f"{path} exists", hint="use `-o FILE` to write another file")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {path.absolute().parent}")
    return path


def described(path: Path) -> BackupManifest:
    """Return the manifest of a backup. Raises DevError if it is none, cut off, or of another format."""
    import zstandard

    with _reading(path) as file:
        head = file.read(ROOM)
        if not head.startswith(_MAGIC):
            raise DevError("it is not a backup")
        try:
            text = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(head)).read(1 << 20)
            with tarfile.open(fileobj=io.BytesIO(text)) as archive:
                member = archive.next()
                content = archive.extractfile(member) if member and member.name == NAME else None
                about = manifest(content.read() if content else b"")
        except (tarfile.TarError, zstandard.ZstdError, EOFError) as error:
            raise DevError("it has no valid manifest") from error
        if (length := file.seek(0, os.SEEK_END)) != ROOM + about.packed:
            raise DevError(f"it has {length} bytes instead of {ROOM + about.packed}", hint="copy it again")
    return about


def check(path: Path, about: BackupManifest, progress: Callable[[int], object]) -> None:
    """Read a backup to its end. Raises DevError unless it is whole, as its manifest says, and harmless."""
    import zstandard

    with _reading(path) as file:
        file.seek(ROOM)
        try:
            with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as tar:
                parts = backup_tar.parts(tar, _Counted(lambda _: None, progress))
        except zstandard.ZstdError as error:
            raise DevError(f"it is damaged: {error}") from error
        if parts != about.parts:
            different = sorted(part.name for part in set(parts) ^ set(about.parts))
            raise DevError(f"it is damaged: `{different[0]}` does not match its checksum")


def gzipped(path: Path) -> Iterator[bytes]:
    """Yield the tar of a backup, compressed as hosts can read it."""
    import zstandard

    with _reading(path) as file:
        file.seek(ROOM)
        compressor = zlib.compressobj(_FAST, wbits=_GZIP)
        with zstandard.ZstdDecompressor().stream_reader(file, closefd=False) as tar:
            while chunk := tar.read(CHUNK):
                if packed := compressor.compress(chunk):
                    yield packed
        yield compressor.flush()


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


@contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    """Create the file, for its owner only: a database is in it."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        file.truncate()
        yield file


@contextmanager
def _removed(part: Path) -> Iterator[None]:
    """Remove the file of a backup that is not completed, while nobody else can have it."""
    try:
        yield
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Open a backup; errors name it."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise UsageError(f"could not read {path}: {error.strerror or error}") from error
    except DevError as error:
        raise type(error)(f"{path} cannot be restored: {error.message}", hint=error.hint) from error


def _head(about: BackupManifest) -> bytes:
    """Return the manifest as the beginning of the file."""
    import zstandard

    text = about.as_json().encode()
    member = tarfile.TarInfo(NAME)
    member.size, member.mode = len(text), 0o644
    padding = -len(text) % tarfile.BLOCKSIZE
    frame = zstandard.ZstdCompressor(level=LEVEL).compress(member.tobuf() + text + b"\0" * padding)
    rest = ROOM - len(frame) - len(_SKIPPABLE) - 4
    if rest < 0:
        raise DevError("the stack has too many volumes for one backup", hint="select some of them")
    return frame + _SKIPPABLE + rest.to_bytes(4, "little") + b"\0" * rest


class Unzipped:
    """Read a gzipped stream. Raises DevError if it is cut off."""

    def __init__(self, stream: backup_tar.Readable) -> None:
        self._stream = stream
        self._inflate = zlib.decompressobj(_GZIP)

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""
        while not self._inflate.eof:
            chunk = self._inflate.unconsumed_tail or self._stream.read(CHUNK)
            try:
                content = self._inflate.decompress(chunk, size)
            except zlib.error as error:
                raise DevError(f"the data from the host is damaged: {error}") from error
            if content:
                return content
            if not chunk:
                raise DevError("not all of the data was received")
        return b""


class _Counted:
    """Count bytes on their way."""

    def __init__(self, take: Callable[[bytes], object], progress: Callable[[int], object]) -> None:
        self._take, self._progress = take, progress
        self._count = 0

    def __call__(self, chunk: bytes) -> None:
        """Pass a chunk on."""
        self._take(chunk)
        self._count += len(chunk)
        self._progress(self._count)
