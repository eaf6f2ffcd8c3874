"""Pack local files as a tar, and unpack an untrusted one."""

from __future__ import annotations

import os
import posixpath
import shutil
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from kamal_dev.errors import DevError

PERMISSIONS = 0o777


def pack(source: Path, name: str, user: int, group: int, stream: BinaryIO) -> None:
    """Write a file or folder as `name`, with its modes, owned by this user and group; links stay links."""

    def owned(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid, member.gid, member.uname, member.gname = user, group, "", ""
        return member if member.isreg() or member.isdir() or member.issym() or member.islnk() else None

    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        archive.add(source, arcname=name, filter=owned)


def unpack(stream: BinaryIO, target: Path, skipped: Callable[[str], object], name: str = "") -> int:
    """Unpack a tar with a single top entry as `target`, or into it if it is a folder, there as `name` if that is given.

    Returns the number of files, links and folders. Nothing is written outside of it: names that lead outside are
    refused (DevError), and links that do and special files are `skipped`, by name. Set-user-ID bits are dropped.
    """
    unpacking = _Unpacking(target, skipped, name)
    try:
        with tarfile.open(fileobj=stream, mode="r|*") as archive:
            for member in archive:
                unpacking.add(archive, member)
    except tarfile.TarError as error:
        raise DevError(f"the archive from the container cannot be read: {error}") from error
    unpacking.finish()
    return unpacking.count


class _Unpacking:
    """Write the members; symbolic links come last, so that nothing is written through them."""

    def __init__(self, target: Path, skipped: Callable[[str], object], name: str = "") -> None:
        self.count = 0
        self._name = name
        self._target = target
        self._skipped = skipped
        self._base: Path | None = None
        self._links: list[tuple[Path, str]] = []
        self._folders: list[tuple[Path, int]] = []

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Write a member. Raises DevError for a name that leads outside."""
        path = self._path(member.name)
        if member.isdir():
            self._folder(path, member.mode)
        elif member.issym():
            self._links.append((path, member.linkname))
        elif member.isreg() or member.islnk():
            self._file(archive, member, path)
        else:
            self._skipped(member.name)

    def finish(self) -> None:
        """Create the links, and set the modes of folders, which may forbid writing to them."""
        for path, to in self._links:
            self._link(path, to)
        for path, mode in reversed(self._folders):
            path.chmod(mode & PERMISSIONS)

    def _path(self, name: str) -> Path:
        """Return the path to write a member to."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or ".." in parts:
            raise DevError(f"the archive from the container has a name that points outside its folder: `{name}`")
        if self._base is None:
            self._base = self._target / (self._name or parts[0]) if self._target.is_dir() and parts else self._target
        path = self._base.joinpath(*parts[1:])
        # An existing link may lead elsewhere.
        if path != self._base and not path.parent.resolve().is_relative_to(self._base.resolve()):
            raise DevError(f"a symbolic link on this machine points outside {self._base}: `{name}` is not written")
        return path

    def _folder(self, path: Path, mode: int) -> None:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            path.unlink()
        path.mkdir(parents=True, exist_ok=True)
        self._folders.append((path, mode))
        self.count += 1

    def _file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        self._clear(path)
        if member.islnk():
            # The target was written before: copying it needs no link.
            shutil.copyfile(self._path(member.linkname), path, follow_symlinks=False)
        else:
            content = archive.extractfile(member)
            assert content
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
        path.chmod(member.mode & PERMISSIONS)
        os.utime(path, (member.mtime, member.mtime))
        self.count += 1

    def _link(self, path: Path, to: str) -> None:
        assert self._base
        inside = posixpath.normpath(posixpath.join(path.parent.relative_to(self._base.parent).as_posix(), to))
        if to.startswith("/") or inside.split("/")[0] != self._base.name:
            self._skipped(path.name)
            return
        self._clear(path)
        path.symlink_to(to)
        self.count += 1

    def _clear(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() and not path.is_symlink():
            raise DevError(f"{path} is a folder on this machine, and a file in the container")
        with suppress(FileNotFoundError):
            path.unlink()


def chunks(stream: BinaryIO, size: int = 1 << 16) -> Iterator[bytes]:
    """Yield the content of a stream."""
    while chunk := stream.read(size):
        yield chunk
