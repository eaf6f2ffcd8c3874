"""What a deploy is about: the images, the release of each stack, and the requirements for every host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from kamal_dev.model import Image, Release
from kamal_dev.plan.admission import Requirements
from kamal_dev.plan.volume_copy import CopiedStack
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class PlannedImage:
    """Hold an image of this version and the services that run it.

    An image that `is_to_be_built` may be `is_known` from an earlier build of exactly this version: the build is then
    expected to give the same image.
    """

    image: Image
    services: tuple[str, ...]
    is_to_be_built: bool = False
    is_known: bool = True


@dataclass(frozen=True)
class Candidate:
    """Hold the new release of one stack.

    `parts` is what its containers are made of (see `compose.parts`), `requirements` what it requires of its host.
    `is_sent`: the workspace has exactly this source. `is_offered`: the source was offered but not applied, because
    people changed the workspace. `follows_source`: lifecycle commands run again when the workspace gets a new source.
    """

    release: Release
    parts: str = ""
    requirements: Requirements = field(default_factory=Requirements)
    is_sent: bool = False
    is_offered: bool = False
    follows_source: bool = False


@dataclass(frozen=True)
class DeployRequest:
    """Hold what is the same for every stack of a deploy.

    `source` is `workspace.source`, `folder` the repository's name in workspaces; `source_moved` are
    the stacks whose workspaces this deploy has moved already. Images go to a registry, or, with
    `over_ssh`, to the hosts themselves; `recreate` recreates every container. `watcher` is the version of the
    watcher that hosts get, empty for none. `is_shared`: a host has several stacks. `machines` are the shared hosts
    that have to be created, by the stacks that get them. `copied` is the stack whose volumes new stacks start with.
    """

    images: tuple[PlannedImage, ...] = ()
    provider: str = ""
    source: str = ""
    folder: str = ""
    source_moved: frozenset[str] = frozenset()
    over_ssh: bool = False
    recreate: bool = False
    watcher: str = ""
    is_shared: bool = False
    machines: Mapping[str, str] = field(default_factory=dict)
    copied: CopiedStack | None = None

    def creates_host_of(self, stack: str) -> bool:
        """Return whether a stack without a host is the first one that gets its new host."""
        machine = self.machines.get(stack)
        return machine is None or stack == next(name for name, other in self.machines.items() if other == machine)

    @property
    def unbuilt(self) -> tuple[str, ...]:
        """The services whose images are unknown until they are built."""
        return tuple(name for item in self.images if not item.is_known for name in item.services)
