"""Hold the folder of an ssh that may outlive a run: its control socket, its log, and what it logged in with.

One run holds it at a time. A run that finds it held takes the next one, so two runs never share a connection.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from kamal_dev.shell.way import Way

ROOM = 64  # bytes for the path of all folders; macOS allows 104 for a socket, and ssh adds 17 while creating it
LONGEST_LOG = 1 << 20
MOST = 1000
UNUSED = 86_400.0  # seconds
# What ssh and its helpers read from the environment.
VARIABLES = ("PATH", "SSH_AUTH_SOCK", "SSH_SK_HELPER", "SSH_SK_PROVIDER", "SSH_PKCS11_HELPER", "KRB5CCNAME")


class ControlFolder:
    """Hold the folder until `release` or `remove`; the kernel releases it if this process is killed."""

    def __init__(self, path: Path, lock: int) -> None:
        self.socket = path / "s"
        self.log = path / "log"
        self._path = path
        self._login = path / "login"
        self._lock = lock
        self._ending = threading.Lock()

    @classmethod
    def take(cls, words: tuple[str, ...]) -> ControlFolder:
        """Return a folder that no other run holds, for an ssh with these options. Raises OSError."""
        place, name = _place(), _name(words)
        known = [path for path in place.iterdir() if path.name.startswith(f"{name}.")]
        known.sort(key=lambda path: (_is_unused(path), path.name))
        for path in chain(known, (place / f"{name}.{number}" for number in range(MOST))):
            path.mkdir(mode=0o700, exist_ok=True)
            if (lock := _locked(path)) is not None:
                return cls(path, lock)
        raise OSError(f"more than {MOST} runs are connected to this host")

    def is_current(self, way: Way) -> bool:
        """Return whether its ssh was used recently, and no key or known host has changed since the login."""
        try:
            # The wall clock, because a machine that slept may have lost the connection.
            age = time.time() - self._login.stat().st_mtime
            is_short = self.log.stat().st_size < LONGEST_LOG
            return 0 <= age < way.trust.control_persist and is_short and self._login.read_text() == _fingerprint(way)
        except (OSError, ValueError):
            return False

    def record_login(self, way: Way) -> None:
        """Remember which keys and known hosts the login used; if it cannot, the next run logs in."""
        with suppress(OSError):
            self._login.write_text(_fingerprint(way))

    def clear(self) -> None:
        """Delete everything in it."""
        for path in self._path.iterdir():
            path.unlink(missing_ok=True)

    def release(self) -> None:
        """Leave it, with its ssh, to the next run."""
        with suppress(OSError):
            os.utime(self._login)
        self._unlock()

    def remove(self) -> None:
        """Delete it; its ssh has ended."""
        # Several threads may find out that a connection has ended. After the first one, it may be another run's.
        with self._ending:
            if self._lock >= 0:
                shutil.rmtree(self._path, ignore_errors=True)
                self._unlock()

    def sweep(self) -> None:
        """Delete the folders of other connections that have ended by themselves."""
        with suppress(OSError):
            for path in self._path.parent.iterdir():
                if path != self._path and _is_unused(path):
                    _delete(path)

    def _unlock(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def _place() -> Path:
    """Return the folder of all control folders, which must be this user's alone. Raises OSError."""
    owner, runtime = os.geteuid(), os.environ.get("XDG_RUNTIME_DIR", "")
    # `sudo` may keep the variable of the user who called it.
    if runtime and _owner(Path(runtime)) != owner:
        runtime = ""
    own = f"kamal-dev-{owner}"
    paths = [Path(tempfile.gettempdir(), own), Path("/tmp", own)]  # noqa: S108 # checked below
    if runtime:
        paths.insert(0, Path(runtime, "kamal-dev"))
    path = next((path for path in paths if len(os.fsencode(path)) <= ROOM), paths[-1])
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != owner or status.st_mode & 0o077:
        raise PermissionError(f"{path} is not a folder that only this user can access")
    return path


def _owner(path: Path) -> int:
    try:
        return path.stat().st_uid
    except OSError:
        return -1


def _name(words: tuple[str, ...]) -> str:
    parts = (*words, *(f"{name}={os.environ.get(name, '')}" for name in (*VARIABLES, *_named(words))))
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogateescape"), digest_size=8).hexdigest()


def _named(words: tuple[str, ...]) -> list[str]:
    """Return the names of variables that options refer to, such as an agent's socket."""
    text = " ".join(words)
    return sorted(name for name in os.environ if f"${name}" in text or f"${{{name}}}" in text)


def _locked(path: Path) -> int | None:
    """Return the lock of a folder; None if another run holds it or has just deleted it."""
    try:
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(lock), path.stat()):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None


def _is_unused(path: Path) -> bool:
    # ssh deletes its socket as it ends; one that was killed could not.
    with suppress(FileNotFoundError):
        return time.time() - (path / "s").stat().st_mtime > UNUSED
    return True


def _delete(path: Path) -> None:
    if (lock := _locked(path)) is not None:
        # Its socket may be there now.
        if _is_unused(path):
            shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _fingerprint(way: Way) -> str:
    """Return the state of every file with keys or known hosts on the route."""
    return "\n".join(_state(path) for path in _files(way))


def _files(way: Way) -> Iterator[str]:
    yield from (*way.known_hosts, *way.global_known_hosts, *way.certificates, *way.missing)
    yield from (name for path in way.identities for name in (path, f"{path}.pub"))
    yield from (value.strip('"') for name, value in way.others if name == "revokedhostkeys")
    if way.through:
        yield from _files(way.through)


def _state(path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError:
        return path
    return f"{path} {status.st_ino} {status.st_size} {status.st_ctime_ns}"
