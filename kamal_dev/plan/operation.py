"""The operations on images, hosts and stacks, as values with their causes. Runs none of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import Any, ClassVar

from kamal_dev.model import short
from kamal_dev.values import dataclass


@dataclass(frozen=True, kw_only=True)
class Operation:
    """Describe one thing to do; `causes` are the reasons, each a phrase to print in brackets."""

    causes: tuple[str, ...] = ()
    verb: ClassVar[str] = ""

    @property
    def target(self) -> str:
        """The object of the verb, as people write it; empty if the stack is enough."""
        return ""

    def __str__(self) -> str:
        words = " ".join(filter(None, (self.verb, self.target)))
        return f"{words} ({'; '.join(self.causes)})" if self.causes else words

    def as_json(self) -> dict[str, Any]:
        """Return every field, and the verb as `operation`."""
        return {"operation": self.verb, **{item.name: getattr(self, item.name) for item in fields(self)}}


# --- on this machine


@dataclass(frozen=True, kw_only=True)
class BuildImage(Operation):
    """Build an image; `is_known` means that exactly this version was built before."""

    verb: ClassVar[str] = "build"
    image: str
    services: tuple[str, ...] = ()
    is_known: bool = False

    @property
    def target(self) -> str:
        """The image."""
        return short(self.image)


@dataclass(frozen=True, kw_only=True)
class ReuseImage(Operation):
    """Run an image that already exists."""

    verb: ClassVar[str] = "reuse"
    image: str
    services: tuple[str, ...] = ()
    digest: str = ""

    @property
    def target(self) -> str:
        """The image."""
        return short(self.image)


@dataclass(frozen=True, kw_only=True)
class PushImage(Operation):
    """Push an image to its registry, unless the registry already has it."""

    verb: ClassVar[str] = "push"
    image: str

    @property
    def target(self) -> str:
        """The image."""
        return short(self.image)


# --- on a host


@dataclass(frozen=True, kw_only=True)
class CreateHost(Operation):
    """Have the provider create a host."""

    verb: ClassVar[str] = "create"
    provider: str
    host: str = ""

    @property
    def target(self) -> str:
        """The host, with its name if stacks share it, and who creates it."""
        return " ".join(filter(None, ("host", self.host, "with", self.provider)))


@dataclass(frozen=True, kw_only=True)
class StartHost(Operation):
    """Have the provider start a host that is switched off."""

    verb: ClassVar[str] = "start"

    @property
    def target(self) -> str:
        """The host."""
        return "host"


WATCHER, POOLS = "watcher", "address pools"


@dataclass(frozen=True, kw_only=True)
class Bootstrap(Operation):
    """Make Docker Engine, Compose and the watcher run on a host, which `lacks` one of them, or addresses."""

    verb: ClassVar[str] = "bootstrap"
    lacks: str = "Docker"

    @property
    def installs_engine(self) -> bool:
        """Whether Docker or Compose are missing."""
        return self.lacks not in (WATCHER, POOLS)

    @property
    def is_for_watcher(self) -> bool:
        """Whether only the watcher is missing, which a release brings along."""
        return self.lacks == WATCHER


@dataclass(frozen=True, kw_only=True)
class PullImages(Operation):
    """Pull third-party images on a host."""

    verb: ClassVar[str] = "pull"
    images: tuple[str, ...]

    @property
    def target(self) -> str:
        """The images."""
        return ", ".join(map(short, self.images))


@dataclass(frozen=True, kw_only=True)
class TransferImages(Operation):
    """Send local images to a host over SSH."""

    verb: ClassVar[str] = "transfer"
    images: tuple[str, ...]

    @property
    def target(self) -> str:
        """The images."""
        return ", ".join(map(short, self.images))


@dataclass(frozen=True, kw_only=True)
class SendSource(Operation):
    """Bring a workspace to the source; with `force`, changes made there are discarded."""

    verb: ClassVar[str] = "send source"
    folder: str
    force: bool = False

    @property
    def target(self) -> str:
        """The folder of the workspace."""
        return f"to `{self.folder}`"


@dataclass(frozen=True, kw_only=True)
class ApplyRelease(Operation):
    """Make a release the current one.

    `replaced` are the services whose containers are replaced, `inside` the sessions in them, as (service, command).
    `depends_on` are services whose new image decides whether this happens at all; empty if it happens in any case.
    """

    verb: ClassVar[str] = "apply"
    release: str
    version: str
    replaced: tuple[str, ...] = ()
    inside: tuple[tuple[str, str], ...] = ()
    depends_on: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The version."""
        unless = f" if the image of {_listed(self.depends_on)} changes" if self.depends_on else ""
        return f"{short(self.version)}{unless}"


@dataclass(frozen=True, kw_only=True)
class RollBack(Operation):
    """Make an earlier release the current one again; its `missing` images are pulled first."""

    verb: ClassVar[str] = "roll back to"
    release: str
    version: str
    missing: tuple[str, ...] = ()
    same_version: bool = False

    @property
    def target(self) -> str:
        """The version, with the release id if another release has the same version."""
        return short(self.version, self.release if self.same_version else "")


@dataclass(frozen=True, kw_only=True)
class StopStack(Operation):
    """Stop the containers of a stack."""

    verb: ClassVar[str] = "stop"

    @property
    def target(self) -> str:
        """What is stopped."""
        return "containers"


@dataclass(frozen=True, kw_only=True)
class RemoveStack(Operation):
    """Stop a stack and remove it from its host."""

    verb: ClassVar[str] = "remove"
    keep_volumes: bool = False

    @property
    def target(self) -> str:
        """What is removed."""
        return "containers" if self.keep_volumes else "containers, volumes and workspace"


@dataclass(frozen=True, kw_only=True)
class DestroyHost(Operation):
    """Have the provider destroy a host that it created."""

    verb: ClassVar[str] = "destroy"
    host: str = ""

    @property
    def target(self) -> str:
        """The host, with its name if stacks shared it."""
        return f"host {self.host}".rstrip()


@dataclass(frozen=True, kw_only=True)
class PrunePiece(Operation):
    """Remove one piece that deploys left on a host; `kind` as in `events.Leftover`."""

    verb: ClassVar[str] = "prune"
    kind: str
    name: str
    bytes: int = 0

    @property
    def target(self) -> str:
        """The piece."""
        return f"{self.kind} {short(self.name)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
