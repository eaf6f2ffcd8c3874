"""Read the tar of a backup as it streams: what belongs to which part, and whether it may be unpacked on a host."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Callable
from typing import IO, Protocol, cast

from kamal_dev.commands.backup import BACKUPS, WORKSPACE, BackupPart, is_part
from kamal_dev.errors import DevError

BUFFER = 1 << 20
# A hostile header can be as large as the archive: it would be read into memory at once.
HEADERS = 1 << 26
LONGEST = 4096  # bytes, as kernels have it


class Readable(Protocol):
    """Anything that bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes, none at the end."""


def parts(stream: Readable, take: Callable[[bytes], object]) -> tuple[BackupPart, ...]:
    """Read a tar to its end, pass its bytes to `take`, and return its parts.

    Raises DevError for a tar that is cut off or damaged, and for members that lead out of their part: no backup has
    them.
    """
    sections = _Sections(stream, take)
    try:
        with tarfile.open(fileobj=cast(IO[bytes], sections), mode="r|", bufsize=BUFFER) as archive:
            while member := archive.next():
                sections.enter(member, archive.offset)
                # What is kept of each member would grow with their number.
                archive.members.clear()  # type: ignore[attr-defined]
    except (tarfile.TarError, ValueError) as error:
        raise DevError(f"its archive is damaged or cut off: {error}") from error
    return sections.close()


class _Sections:
    """Count and hash the bytes of each part. The reader is ahead of them by a buffer."""

    def __init__(self, stream: Readable, take: Callable[[bytes], object]) -> None:
        self._stream, self._take = stream, take
        self._done: dict[str, BackupPart] = {}
        self._rules = _Rules()
        self._name = ""
        self._hash = hashlib.sha256()
        self._count = self._files = 0
        self._held = bytearray()
        self._position = self._end = 0

    def read(self, size: int) -> bytes:
        """Return the next bytes, for tarfile."""
        chunk = self._stream.read(size)
        self._take(chunk)
        self._held += chunk
        self._settle()
        if len(self._held) > HEADERS:
            raise DevError("its archive is damaged: a header is too large")
        return chunk

    def enter(self, member: tarfile.TarInfo, end: int) -> None:
        """Count a member, with all before `end`."""
        name = self._rules.check(member)
        if name != self._name:
            self._finish()
            if name in self._done:
                raise DevError(f"`{name}` is in it twice")
            self._name = name
        self._files += 1
        self._end = end
        self._settle()

    def close(self) -> tuple[BackupPart, ...]:
        """Read to the end and return the parts. Raises DevError if the end of the tar is missing, or more follows."""
        self._settle()
        zeros = 0
        while True:
            if self._held.strip(b"\0"):
                raise DevError("its archive is damaged: it has data after its end")
            zeros += len(self._held)
            self._held.clear()
            if not self.read(BUFFER):
                break
        if self._position < self._end or zeros < 2 * tarfile.BLOCKSIZE:
            raise DevError("its archive is cut off")
        self._finish()
        return tuple(self._done.values())

    def _settle(self) -> None:
        count = min(self._end - self._position, len(self._held))
        if count > 0:
            self._hash.update(memoryview(self._held)[:count])
            del self._held[:count]
            self._position += count
            self._count += count

    def _finish(self) -> None:
        if self._name:
            self._done[self._name] = BackupPart(self._name, self._count, self._files, self._hash.hexdigest())
        self._hash = hashlib.sha256()
        self._count = self._files = 0


class _Rules:
    """Refuse what no backup contains: names and links that lead out of their part, writing through links, devices."""

    def __init__(self) -> None:
        self._links: set[str] = set()

    def check(self, member: tarfile.TarInfo) -> str:
        """Return the part that a member belongs to. Raises DevError."""
        name = _inside(member.name)
        if not (_is_plain(member) or member.issym() or member.islnk()):
            raise DevError(f"it contains a device or an unknown kind of file: `{name}`")
        if member.islnk() and part_of(_inside(member.linkname)) != part_of(name):
            raise DevError(f"it contains a link that points outside its folder: `{name}`")
        steps = name.split("/")
        if any("/".join(steps[:count]) in self._links for count in range(1, len(steps) + 1 - member.issym())):
            raise DevError(f"it contains a file that would be written through a symbolic link: `{name}`")
        if member.issym() and name == part_of(name):
            raise DevError(f"`{name}` is a symbolic link")
        if member.issym() or (member.islnk() and _inside(member.linkname) in self._links):
            self._links.add(name)
        return part_of(name)


def _is_plain(member: tarfile.TarInfo) -> bool:
    """Whether it is a file, folder or pipe, or the mark of a deleted file that an engine in a container has."""
    is_mark = member.ischr() and (member.devmajor, member.devminor) == (0, 0)
    return member.isreg() or member.isdir() or member.isfifo() or is_mark


def _inside(name: str) -> str:
    if "\0" in name or len(name.encode(errors="surrogateescape")) > LONGEST:
        raise DevError("it contains a name that no file can have")
    if name.startswith("/") or ".." in name.split("/"):
        raise DevError(f"it contains a name that points outside its folder: `{name}`")
    return "/".join(step for step in name.split("/") if step not in ("", "."))


def part_of(name: str) -> str:
    """Return the part that a path in a backup belongs to. Raises DevError for other paths."""
    steps = name.split("/")
    part = steps[0] if steps[0] in (WORKSPACE, BACKUPS) else "/".join(steps[:2])
    if is_part(part):
        return part
    raise DevError(f"it contains `{name}`, which belongs to no volume")
