"""Images, and the builds that make them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from kamal_dev.model.location import NOWHERE, Location
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Image:
    """Name an OCI image: `server/repository:tag@digest`.

    `server` has no scheme (`ghcr.io`, `localhost:5555`); it is empty for an image in the local engine only.
    `platforms` are its known platforms (`linux/amd64`); empty if unknown. Source: OCI distribution specification.
    """

    server: str
    repository: str
    tag: str
    digest: str = ""
    platforms: tuple[str, ...] = field(default=(), compare=False)

    @property
    def reference(self) -> str:
        """The name with tag, without digest: what is built and pushed."""
        return f"{self.name}:{self.tag}"

    @property
    def pinned(self) -> str:
        """The name with digest, which a release runs: it stays the same if another version has the same content."""
        return f"{self.name}@{self.digest}" if self.digest else self.reference

    @property
    def name(self) -> str:
        """The name without tag and digest."""
        return f"{self.server}/{self.repository}" if self.server else self.repository

    def on(self, platforms: Iterable[str]) -> Image:
        """Return the image with its platforms."""
        return replace(self, platforms=tuple(sorted(filter(None, platforms))))

    def __str__(self) -> str:
        return f"{self.reference}@{self.digest}" if self.digest else self.reference


@dataclass(frozen=True)
class ImageConfig:
    """Describe how an image runs; `metadata` is the text of its label `devcontainer.metadata`.

    Source: OCI image configuration.
    """

    metadata: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImageConfig:
        """Read `metadata`, `entrypoint` and `command` from an engine's or a host's answer; each may be null."""
        words = (tuple(map(str, data.get(key) or ())) for key in ("entrypoint", "command"))
        return cls(str(data.get("metadata") or ""), *words)


def familiar(reference: str) -> str:
    """Return the short form of an image's name: `docker.io/library/redis` and `redis:latest` are the same image."""
    last = reference.rsplit("/", 1)[-1]
    if ":" not in last and "@" not in last:
        reference += ":latest"
    return reference.removeprefix("index.").removeprefix("docker.io/").removeprefix("library/")


@dataclass(frozen=True)
class BuildSecret:
    """Pass a secret to a build: its id, and the variable or file with its value.

    Exactly one of `environment` (a variable's name) and `file` (absolute path) is set.
    """

    id: str
    environment: str = ""
    file: str = ""


@dataclass(frozen=True)
class Features:
    """Hold the Features of an image, and the users they are installed for.

    `text` is JSON: `features` and `overrideFeatureInstallOrder` of devcontainer.json. `path` is that file and `root`
    the folder that it belongs to, both absolute: a Feature that begins with a dot is relative to its folder. An empty
    user is the image's own. Source: containers.dev.
    """

    names: tuple[str, ...]
    text: str
    path: Path
    root: Path
    container_user: str = ""
    remote_user: str = ""
    where: Location = NOWHERE


@dataclass(frozen=True)
class Build:
    """Describe one image to build, and the services that use it.

    `context` is an absolute path or a URL, or `-` for none; `dockerfile` is an absolute path or, for a URL context,
    relative to it; empty if `dockerfile_inline` is set. An `args` value of None takes the variable of that name from
    the environment. `options` are further buildx flags as argv words, inserted before the context. Source: Compose
    Build Specification; devcontainer.json `build`.
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
    where: Location = NOWHERE
    image: Image | None = None
    features: Features | None = None
