"""Frozen values that every row speaks. Reads nothing, runs nothing."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from kamal_dev.errors import UsageError

REDACTED = "[redacted]"

_COMMIT = re.compile(r"\b([0-9a-f]{12})(?:[0-9a-f]{28}|[0-9a-f]{52})\b")
_CONTENT = re.compile(r"((?:-dirty|\buncommitted)-[0-9a-f]{6})[0-9a-f]+\b")


class Secret:
    """Hold a value that prints as `[redacted]`; `reveal()` is the only way out."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself, for stdin or a 0600 file."""
        return self._value

    def __repr__(self) -> str:
        return REDACTED

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not written down")


@dataclass(frozen=True)
class Image:
    """Name an OCI image: `server/repository:tag@digest`.

    `server` has no scheme (`ghcr.io`, `localhost:5555`); empty for an image
    known to the local engine only. `platforms` are those that it is known to be made for
    (`linux/amd64`); none where nobody knows. Source: OCI distribution specification.
    """

    server: str
    repository: str
    tag: str
    digest: str = ""
    platforms: tuple[str, ...] = field(default=(), compare=False)

    @property
    def reference(self) -> str:
        """The name with its tag, without the digest: what is built and pushed."""
        return f"{self.name}:{self.tag}"

    @property
    def pinned(self) -> str:
        """What a release runs: the name with the digest, which stays where another version has the same content."""
        return f"{self.name}@{self.digest}" if self.digest else self.reference

    @property
    def name(self) -> str:
        """The name without tag and digest."""
        return f"{self.server}/{self.repository}" if self.server else self.repository

    def on(self, platforms: Iterable[str]) -> Image:
        """Return the image with the platforms that it is made for."""
        return replace(self, platforms=tuple(sorted(filter(None, platforms))))

    def __str__(self) -> str:
        return f"{self.reference}@{self.digest}" if self.digest else self.reference


@dataclass(frozen=True)
class ImageConfig:
    """Describe how an image is run; `metadata` is the text of its label `devcontainer.metadata`.

    Source: OCI image configuration.
    """

    metadata: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImageConfig:
        """Read `metadata`, `entrypoint` and `command`, as engines and hosts tell them; each may be null."""
        words = (tuple(map(str, data.get(key) or ())) for key in ("entrypoint", "command"))
        return cls(str(data.get("metadata") or ""), *words)


@dataclass(frozen=True)
class Version:
    """Describe the state of the source that a tag represents.

    `text` is the tag: a git SHA, the SHA with a suffix that is a hash of the
    content where the tree is dirty, outside git the time of the newest file with
    such a hash, or what `--version` said.
    """

    text: str
    commit: str = ""
    is_dirty: bool = False

    def __str__(self) -> str:
        return self.text


def short(version: str, release: str = "") -> str:
    """Return a version as tables and sentences have it: its hashes cut, but not what says that a tree was dirty.

    `release` is the id of a release of it; its hash is added, for where another release has the same version.
    """
    text = _CONTENT.sub(r"\1", _COMMIT.sub(r"\1", version))
    return f"{text} (release {release.rpartition('-')[2]})" if release else text


@dataclass(frozen=True)
class Location:
    """Point to a place in the user's files; `line` and `column` from 1."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True)
class Notice:
    """Tell the user once what was ignored as written, and why; or, as a warning, what that entails."""

    where: Location
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class Explanation:
    """Say where one key of the user's files went: `text` is what it became, or why it became nothing.

    `outcome` is one of `applied`, `rewritten`, `built`, `sent`, `mapped`,
    `left to Compose`, and `ignored`, of which a notice tells as well.
    """

    key: str
    where: Location
    outcome: str
    text: str


@dataclass(frozen=True)
class BuildSecret:
    """Hand a secret to a build: its id, and the variable or file that holds it.

    Exactly one of `environment` (a variable's name) and `file` (absolute path) is set.
    """

    id: str
    environment: str = ""
    file: str = ""


@dataclass(frozen=True)
class Features:
    """Name the Features that an image gets, and whom they are installed for.

    `text` is JSON: what devcontainer.json says under `features` and
    `overrideFeatureInstallOrder`. `path` is that file and `root` the folder that it
    belongs to, both absolute: a Feature that begins with a dot is relative to its
    folder. A user that is empty is the image's own. Source: containers.dev.
    """

    names: tuple[str, ...]
    text: str
    path: Path
    root: Path
    container_user: str = ""
    remote_user: str = ""
    where: Location = Location("")


@dataclass(frozen=True)
class Build:
    """Describe one image to be made, and the services that use it.

    `context` is an absolute path or a URL, or `-` for none; `dockerfile` an absolute
    path, or, for a URL context, relative to it; empty where `dockerfile_inline` is set.
    An `args` value of None takes the variable of that name from the environment.
    `options` are further buildx flags as argv words, appended before the context.
    Source: Compose Build Specification; devcontainer.json `build`.
    """

    services: tuple[str, ...]
    context: str
    dockerfile: str = ""
    dockerfile_inline: str = ""
    target: str = ""
    args: tuple[tuple[str, str | None], ...] = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    contexts: tuple[tuple[str, str], ...] = ()
    secrets: tuple[BuildSecret, ...] = ()
    ssh: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    where: Location = Location("")
    image: Image | None = None
    features: Features | None = None


@dataclass(frozen=True)
class Host:
    """Name a machine reached by SSH.

    `user` and `port` empty or 0: what `~/.ssh/config` says, else the SSH defaults.
    `host_key` is the public key line that the provider vouches for
    (`ssh-ed25519 AAAA…`), empty where it knows none.
    """

    name: str
    address: str
    user: str = ""
    port: int = 0
    keys: tuple[Path, ...] = ()
    proxy_jump: str = ""
    host_key: str = ""


@dataclass(frozen=True)
class File:
    """Hold one file of a release; `path` is relative to the release, POSIX form."""

    path: str
    content: bytes = field(repr=False)
    mode: int = 0o644


@dataclass(frozen=True)
class StartedService:
    """Describe a service that a release starts.

    `needs` are the services that it depends on in any way, `ports` those that it is said
    to listen on, as `port/protocol`.
    """

    name: str
    needs: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class Release:
    """Hold every file that makes one version of a stack run on a host.

    `id` names its folder on the host; `digest` covers all files, so equal
    releases are equal text, and tells nothing of what is private in them. `images`
    maps each built service to its image, `third_party` lists the references of all
    others. `services` are those to start, none meaning all, `started` all that this starts; `workspace` the folders
    that binds expect, relative to the stack's `workspace/`. `ports` are published on
    the host, as `address:port/protocol`; those that the engine chooses are not among them.
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


@dataclass(frozen=True)
class Step:
    """Describe one command to run, as argv; quoting happens in `text` alone.

    `stdin` may hold secrets and is never printed. `environment` is added to the
    process's own, None takes a variable out of it; its secrets are revealed only to
    the child process.
    """

    argv: tuple[str, ...]
    stdin: bytes | None = field(default=None, repr=False)
    environment: tuple[tuple[str, str | Secret | None], ...] = ()
    cwd: Path | None = None
    label: str = ""

    @property
    def text(self) -> str:
        """The command as a person would type it, without stdin and environment.

        `label` replaces the argv of a host script in its text, because the argv is only a wrapper.
        """
        return self.label or shlex.join(self.argv)


@dataclass(frozen=True)
class Result:
    """Say how a step ended; `output` is stdout, `errors` stderr, `seconds` wall clock."""

    step: Step
    exit_code: int
    output: str = ""
    errors: str = ""
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return self.exit_code == 0

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of stderr, or of stdout where stderr is empty."""
        text = self.errors.strip() or self.output.strip()
        return "\n".join(text.splitlines()[-lines:])


@dataclass(frozen=True)
class Container:
    """Describe one container of a stack as the engine on the host reports it.

    `state` is Docker's (`running`, `exited`, `restarting`, `created` …), or `missing` for one that its
    release has and the host has not; `health` is empty where there is no health check. `reason` is why
    the host says that it is not as it should be; `log` holds last lines, on failure only.
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

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Container:
        """Read one `container` line of a host script."""
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        return cls(**known)

    @property
    def is_fine(self) -> bool:
        """Whether it is as its release has it: the host alone decides that."""
        return not self.reason


class Tree(Protocol):
    """Show the working tree to the rows that open no file. Paths are absolute."""

    def read(self, path: Path) -> bytes:
        """Return a file's content; raises OSError as open() does."""
        ...

    def kind(self, path: Path) -> str:
        """Return `file`, `directory`, or an empty string where nothing is."""
        ...

    def real(self, path: Path) -> Path:
        """Return the path after resolving symbolic links."""
        ...

    def mode(self, path: Path) -> int:
        """Return a file's permission bits, `0o644`; raises OSError as open() does."""
        ...

    def list(self, path: Path) -> tuple[str, ...]:
        """Return the sorted names in a folder; empty where no folder is."""
        ...


def familiar(reference: str) -> str:
    """Return the short form of an image's name: `docker.io/library/redis` and `redis:latest` are one image."""
    last = reference.rsplit("/", 1)[-1]
    if ":" not in last and "@" not in last:
        reference += ":latest"
    return reference.removeprefix("index.").removeprefix("docker.io/").removeprefix("library/")


def stack_name(service: str, index: int, pattern: str = "{service}-{index}") -> str:
    """Name a stack from `naming.pattern`; `index` counts from 1.

    Raises UsageError where the pattern names an unknown field.
    """
    try:
        return pattern.format(service=service, index=index)
    except (KeyError, IndexError, ValueError) as error:
        raise UsageError(f"naming.pattern: `{pattern}` is not a valid pattern: {error}") from error
