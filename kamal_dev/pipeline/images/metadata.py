"""Merge the metadata of the main service's image into the devcontainer, once per image."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from kamal_dev import compose, devcontainer
from kamal_dev.commands.facts import Facts
from kamal_dev.compose import Additions
from kamal_dev.devcontainer import Devcontainer
from kamal_dev.errors import ConfigError
from kamal_dev.model import Image, ImageConfig, Location, Notice
from kamal_dev.pipeline.images import registry
from kamal_dev.pipeline.images.building import Built
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project, untrusted
from kamal_dev.shell import Shell
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Merged:
    """Hold the devcontainer merged with its image's metadata, and what the main service gets from both."""

    devcontainer: Devcontainer
    additions: Additions


class Metadata:
    """Read the devcontainer metadata of the main service's image.

    A built image is inspected here, or in its registry if another machine built it. Any other image is inspected on
    the host, which has it already.
    """

    def __init__(
        self,
        project: Project,
        tools: LocalTools,
        config: str = "",
        built: Built | None = None,
        *,
        expected: Image | None = None,
    ) -> None:
        """`config` is the docker config folder with the registry's credential; `built` the main service's image.

        An `expected` image, which is still to be built, is assumed to equal the one that a host has.
        """
        self._project = project
        self._output = tools.output
        self._expected = expected
        self._known: dict[ImageConfig, Merged] = {}
        self._lock = threading.Lock()
        self._built = _of_built(tools.shell, built, config) if built else None
        self._image = built.image.reference if built else project.compose.service(project.main).image

    def merged(self, facts: Facts) -> Merged:
        """Return the merged devcontainer for a host with these facts. Raises DevcontainerError for a bad label."""
        held = facts.held_of(self._expected.name) if self._expected else facts.held(self._image)
        config = self._built or (held.config if held else ImageConfig())
        with self._lock:
            if config not in self._known:
                self._known[config] = self._merge(config)
            return self._known[config]

    def _merge(self, config: ImageConfig) -> Merged:
        project = self._project
        metadata = devcontainer.entries(config.metadata, self._image)
        laid = devcontainer.merged(project.devcontainer, metadata, self._image, project.environment, project.hidden)
        additions = compose.additions(laid, project.config, project.main, project.compose.run_services, config)
        additions = replace(additions, engine=project.engine)
        lost = tuple(item for item in compose.problems(project.compose, additions) if item not in project.problems)
        if project.engine.is_swarm and lost:
            raise ConfigError(lost)
        if additions != project.additions and (refused := tuple(untrusted.powers(project, additions))):
            raise ConfigError(refused, hint=untrusted.HINT)
        for notice in (*laid.notices[len(project.devcontainer.notices) :], *self._dangers(additions)):
            if not self._expected:
                self._output.warn(str(notice), category="config")
        return Merged(laid, additions)

    def _dangers(self, additions: Additions) -> Iterator[Notice]:
        """Yield the warnings about mounts and privileges that the image adds."""
        project = self._project
        if additions == project.additions:
            return
        reported = compose.notices(project.compose, project.additions)
        yield from (notice for notice in compose.notices(project.compose, additions) if notice not in reported)
        if additions.privileged and not project.additions.privileged:
            yield Notice(Location(self._image), f"`privileged`: {compose.POWER}", is_warning=True)


def _of_built(local: Shell, built: Built, config: str) -> ImageConfig:
    if built.present:
        return built.present.config
    # The metadata is the same on all platforms of an image.
    configuration = next(iter(registry.configurations(local, built.image, config).values()), {})
    return _of_registry(configuration.get("config") or {})


def _of_registry(configuration: Mapping[str, Any]) -> ImageConfig:
    label = (configuration.get("Labels") or {}).get(devcontainer.LABEL)
    return ImageConfig.from_json(
        {"metadata": label, "entrypoint": configuration.get("Entrypoint"), "command": configuration.get("Cmd")}
    )
