"""What this machine remembers between runs: `.kamal/local/state.json`. A cache that may be lost.

The truth is at the provider and on the hosts. Only this file knows which hosts were being created when a run ended,
which hosts config/dev.yml no longer lists, and how the last deploy of each stack ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kamal_dev.config.provider import creates_hosts
from kamal_dev.model import Host
from kamal_dev.project.locks import lock
from kamal_dev.values import dataclass

NAME = "state.json"
VERSION = 1
WAIT = 10.0  # seconds to wait for the lock of the file

Change = Callable[["State"], "State"]


@dataclass(frozen=True)
class CachedHost:
    """Remember the host of a stack; `provider` is the type of its provider."""

    stack: str
    address: str
    user: str = ""
    port: int = 0
    keys: tuple[str, ...] = ()
    proxy_jump: str = ""
    provider: str = ""

    @classmethod
    def of(cls, stack: str, host: Host, provider: str) -> CachedHost:
        """Remember a host with its current address."""
        return cls(stack, host.address, host.user, host.port, tuple(map(str, host.keys)), host.proxy_jump, provider)

    @property
    def is_created(self) -> bool:
        """Whether its provider created it, and finds it by the stack's name whatever its address is."""
        return creates_hosts(self.provider)

    @property
    def host(self) -> Host:
        """The host; its name contains the address, because another host may have the stack's name by now."""
        return Host(
            f"{self.stack}@{self.address}",
            self.address,
            self.user,
            self.port,
            tuple(map(Path, self.keys)),
            self.proxy_jump,
        )

    def is_at(self, stack: str, host: Host) -> bool:
        """Return whether it is this host; if its port changes with each start, only the name counts."""
        if self.stack != stack or self.is_created:
            return self.stack == stack
        return (self.address, self.port) == (host.address, host.port)


class HostsByStack:
    """Find remembered hosts among others, of which there may be a thousand."""

    def __init__(self, hosts: Iterable[tuple[str, Host]]) -> None:
        self._hosts: dict[str, list[Host]] = {}
        for stack, host in hosts:
            self._hosts.setdefault(stack, []).append(host)

    def has(self, item: CachedHost) -> bool:
        """Return whether a remembered host is one of them."""
        return any(item.is_at(item.stack, host) for host in self._hosts.get(item.stack, ()))


@dataclass(frozen=True)
class State:
    """Hold what is remembered; every change increments `serial`.

    `creating` are the stacks whose hosts were being created, with the time (UTC); `results` is how the last deploy of
    each stack ended, as `Outcome.state`, or `unknown` if it did not get that far.
    """

    serial: int = 0
    hosts: tuple[CachedHost, ...] = ()
    creating: tuple[tuple[str, str], ...] = ()
    results: tuple[tuple[str, str], ...] = ()

    def begun(self, names: Iterable[str], creating: Iterable[str], now: str) -> State:
        """Record that a deploy has started."""
        creating_since = {**dict.fromkeys(creating, now), **dict(self.creating)}
        return replace(
            self,
            creating=_sorted(creating_since),
            results=_sorted({**dict(self.results), **dict.fromkeys(names, "unknown")}),
        )

    def created(self, names: Iterable[str]) -> State:
        """Record that these hosts exist now."""
        done = set(names)
        return replace(self, creating=tuple(item for item in self.creating if item[0] not in done))

    def ended(self, hosts: Iterable[CachedHost], results: Iterable[tuple[str, str]]) -> State:
        """Record how a deploy ended, and on which hosts."""
        reached = tuple(hosts)
        places = HostsByStack((new.stack, new.host) for new in reached)
        others = (known for known in self.hosts if not places.has(known))
        return replace(
            self.created(known.stack for known in reached),
            hosts=_by_name((*others, *reached)),
            results=_sorted({**dict(self.results), **dict(results)}),
        )

    def without(self, hosts: Iterable[CachedHost]) -> State:
        """Remove hosts."""
        removed = set(hosts)
        return replace(self, hosts=tuple(known for known in self.hosts if known not in removed))

    def removed(self, stacks: Iterable[tuple[str, Host]]) -> State:
        """Remove stacks together with the hosts that they were removed from."""
        removed = tuple(stacks)
        names = {stack for stack, _ in removed}
        places = HostsByStack(removed)
        hosts = tuple(known for known in self.hosts if not places.has(known))
        return replace(
            self.created(names), hosts=hosts, results=tuple(item for item in self.results if item[0] not in names)
        )


@dataclass(frozen=True)
class Found:
    """Hold what was read, and messages about it; unless `is_ours`, the file must not be overwritten."""

    state: State = State()
    notices: tuple[str, ...] = ()
    is_ours: bool = True
    text: bytes = b""


def read(folder: Path) -> Found:
    """Read the state of the project with this private folder (absolute). Never raises.

    If the file is damaged, the backup is used, and if that is damaged, an empty state.
    """
    path, backup = folder / NAME, folder / f"{NAME}.bak"
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Found()
    except OSError as error:
        return Found(notices=(f"{path}: cannot be read ({error.strerror}); continuing without it",), is_ours=False)
    try:
        return Found(_parse(text), text=text)
    except _Newer as newer:
        return Found(notices=(f"{path}: is from a newer version of kamal-dev ({newer}); not used",), is_ours=False)
    except ValueError:
        return _from_backup(path, backup)


def update(folder: Path, change: Change) -> tuple[str, ...]:
    """Change the state; return messages about problems. Never raises for errors of the disk.

    Written by rename, under its own lock; the previous version is kept as `state.json.bak`.
    """
    try:
        with lock(folder / f".{NAME}.lock").acquire(timeout=WAIT):
            record = read(folder)
            state = change(record.state)
            if record.is_ours and (state != record.state or record.notices):
                _write(folder, replace(state, serial=record.state.serial + 1), before=record.text)
            return record.notices
    except OSError as error:
        return (f"{folder / NAME}: could not be written ({_reason(error)}); continuing without it",)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


class _Newer(Exception):
    """Carry the version of a file written by a newer `dev`."""


def _from_backup(path: Path, backup: Path) -> Found:
    try:
        state = _parse(backup.read_bytes())
    except (OSError, ValueError, _Newer):
        return Found(notices=(f"{path}: is damaged, and so is its backup; `dev list` rebuilds it",))
    return Found(state, (f"{path}: is damaged; {backup.name} is used, which may be a little older",))


def _write(folder: Path, state: State, *, before: bytes) -> None:
    text = json.dumps({"version": VERSION, **asdict(state)}, indent=1).encode()
    if before:
        put(folder / f"{NAME}.bak", before)
    put(folder / NAME, text, is_safe=True)


def put(path: Path, text: bytes, *, is_safe: bool = False) -> None:
    """Write a file by rename; a `safe` file survives a power failure. Raises OSError."""
    new = path.with_name(f".{path.name}.new")
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, text)
        if is_safe:
            os.fsync(file)
    finally:
        os.close(file)
    new.replace(path)


def _parse(text: bytes) -> State:
    """Return the state. Raises ValueError for an invalid file, _Newer for a newer one."""
    try:
        data = json.loads(text)
        if int(data["version"]) > VERSION:
            raise _Newer(data["version"])
        return State(
            int(data["serial"]),
            tuple(_known(item) for item in data["hosts"]),
            tuple((str(name), str(since)) for name, since in data.get("creating", ())),
            tuple((str(name), str(result)) for name, result in data["results"]),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def _known(data: dict[str, Any]) -> CachedHost:
    words = {name: str(data[name]) for name in ("stack", "address", "user", "proxy_jump", "provider")}
    return CachedHost(port=int(data["port"]), keys=tuple(map(str, data["keys"])), **words)


def _sorted(items: dict[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(items.items()))


def _by_name(hosts: Iterable[CachedHost]) -> tuple[CachedHost, ...]:
    return tuple(sorted(set(hosts), key=lambda known: (known.stack, known.address, known.port)))
