"""A stack: its version, host, release and containers, and the steps that run for it. Runs nothing."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from kamal_dev.errors import UsageError
from kamal_dev.model.image import Image
from kamal_dev.model.secret import Secret
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

_COMMIT = pattern(r"\b([0-9a-f]{12})(?:[0-9a-f]{28}|[0-9a-f]{52})\b")
_CONTENT = pattern(r"((?:-dirty|\buncommitted)-[0-9a-f]{6})[0-9a-f]+\b")


@dataclass(frozen=True)
class Version:
    """Describe the state of the source behind a tag.

    `text` is the tag: a git SHA, for a dirty tree with a hash of the content, outside git the time of the newest file
    with such a hash, or the value of `--version`.
    """

    text: str
    commit: str = ""
    is_dirty: bool = False

    def __str__(self) -> str:
        return self.text


def short(version: str, release: str = "") -> str:
    """Return a version for tables and sentences: with short hashes, and with the mark of a dirty tree.

    `release` is the id of a release of it; its hash is added to tell it from another release of the same version.
    """
    text = _CONTENT.sub(r"\1", _COMMIT.sub(r"\1", version))
    return f"{text} (release {release.rpartition('-')[2]})" if release else text


@dataclass(frozen=True)
class Host:
    """Name a machine reached by SSH.

    `user` and `port` empty or 0: taken from `~/.ssh/config`, else the SSH defaults. `host_key` is the public key line
    that the provider vouches for (`ssh-ed25519 AAAA…`), empty if it does not know it. `peer_address` is the one by
    which other hosts reach it, empty if that is `address`. `shared` is its own name if it has the name of a stack here,
    because stacks share it.
    """

    name: str
    address: str
    user: str = ""
    port: int = 0
    keys: tuple[Path, ...] = ()
    proxy_jump: str = ""
    host_key: str = ""
    peer_address: str = field(default="", compare=False)
    shared: str = field(default="", compare=False)

    @property
    def own_name(self) -> str:
        """The name of the machine, whichever stack it is named after here."""
        return self.shared or self.name


@dataclass(frozen=True)
class File:
    """Hold one file of a release; `path` is relative to the release, POSIX form."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True)
class StartedService:
    """Describe a service that a release starts.

    `needs` are the services that it depends on in any way, `ports` those that it listens on according to the files,
    as `port/protocol`. `restart` is the restart policy that it gets once it is up, empty if it sets its own or is
    meant to end.
    """

    name: str
    needs: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    restart: str = ""


@dataclass(frozen=True)
class Release:
    """Hold every file that makes one version of a stack run on a host.

    `id` names its folder on the host; `digest` covers all files, so equal releases have equal text, and reveals
    nothing private. `images` maps each built service to its image, `third_party` lists the references of all others.
    `services` are those to start, none meaning all, `started` everything that starts; `workspace` are the folders
    that binds expect, relative to the stack's `workspace/`. `ports` are published on the host, as
    `address:port/protocol`, without those that the engine chooses. `published` are the ports that the host allots, as
    `service:published:target/protocol`, if it is shared. `networks` are the keys of the networks that get their
    addresses from the host, `volumes` those of the volumes that only the stack uses.
    """

    id: str
    stack: str
    version: Version
    digest: str
    files: tuple[File, ...]
    images: tuple[tuple[str, Image], ...] = ()
    third_party: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    started: tuple[StartedService, ...] = ()
    workspace: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """Describe one command to run, as argv; only `text` is quoted.

    `stdin` may contain secrets and is never printed. `environment` is added to the process's own, None removes a
    variable; its secrets are revealed only to the child process. `on_terminal` gives its stdout a terminal, on which
    some programs report their progress in bytes; each carriage return then ends a line.
    """

    argv: tuple[str, ...]
    stdin: bytes | None = field(default=None, repr=False)
    environment: tuple[tuple[str, str | Secret | None], ...] = ()
    cwd: Path | None = None
    label: str = ""
    on_terminal: bool = False

    @property
    def text(self) -> str:
        """The command as a person would type it, without stdin and environment.

        `label` replaces the argv of a host script, which is only a wrapper.
        """
        return self.label or shlex.join(self.argv)


@dataclass(frozen=True)
class Result:
    """Hold how a step ended; `output` is stdout, `errors` stderr, `seconds` wall clock."""

    step: Step
    exit_code: int
    output: str = ""
    errors: str = ""
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.exit_code == 0

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of stderr, or of stdout if stderr is empty."""
        text = self.errors.strip() or self.output.strip()
        return "\n".join(text.splitlines()[-lines:])


@dataclass(frozen=True)
class Container:
    """Describe one container of a stack, as judged by its host.

    `state` is a word of `host/observe.sh`: `up`, `starting`, `crash loop`, `exited 3`, `missing` …; `reason` is what
    is wrong with it, `drift` whether it differs from its release. `health` is empty without a health check, `started`
    if it is not running; `log` holds the last lines, only after a failure.
    """

    service: str
    name: str
    image: str
    state: str
    health: str = ""
    exit_code: int = 0
    restarts: int = 0
    started: str = ""
    log: str = ""
    reason: str = ""
    id: str = ""
    drift: bool = False

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Container:
        """Read one `container` line of a host script."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**known)

    @property
    def is_fine(self) -> bool:
        """Whether it is in the state of its release, which only the host decides."""
        return not self.reason

    @property
    def started_at(self) -> datetime | None:
        """When it was started, by the clock of its host; None if it does not run."""
        try:
            # Docker writes nanoseconds, which Python 3.10 cannot parse.
            return datetime.fromisoformat(self.started[:19]).replace(tzinfo=timezone.utc)
        except ValueError:
            return None


class Tree(Protocol):
    """Access to the working tree for layers that open no files. Paths are absolute."""

    def read(self, path: Path) -> bytes:
        """Return a file's content; raises OSError as open() does."""
        ...

    def kind(self, path: Path) -> str:
        """Return `file`, `directory`, or an empty string if there is nothing."""
        ...

    def real(self, path: Path) -> Path:
        """Return the path after resolving symbolic links."""
        ...

    def mode(self, path: Path) -> int:
        """Return a file's permission bits, `0o644`; raises OSError as open() does."""
        ...

    def list(self, path: Path) -> tuple[str, ...]:
        """Return the sorted names in a folder; empty if it is not a folder."""
        ...


def stack_name(service: str, index: int, pattern: str = "{service}-{index}") -> str:
    """Name a stack from `naming.pattern`; `index` counts from 1.

    Raises UsageError if the pattern has an unknown field.
    """
    try:
        return pattern.format(service=service, index=index)
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"naming.pattern: `{pattern}` is not a valid pattern: {error}") from error
