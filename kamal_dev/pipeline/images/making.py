"""Have every image of this version: build, push, digest; or find out which of them are known already."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from kamal_dev.errors import NothingBuilt, RegistryUnknown
from kamal_dev.model import Image
from kamal_dev.pipeline.images import features, local_registry, registry
from kamal_dev.pipeline.images.building import Built, build_all, planned
from kamal_dev.pipeline.images.engine import inspect
from kamal_dev.pipeline.images.pushing import present_images, push_all
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.plan.request import PlannedImage
from kamal_dev.project import Project
from kamal_dev.shell.fanout import Background
from kamal_dev.shell.local import Local

THREAD = "images"
TICK = 0.2  # seconds between two attempts to end what a build runs: it may be between two commands


@dataclass(frozen=True)
class MadeImages:
    """Hold what was built for each service, with its digest; `config` is the docker config folder with the login."""

    of_services: dict[str, Built]
    config: str = ""

    @property
    def images(self) -> dict[str, Image]:
        """The image of each built service."""
        return {service: built.image for service, built in self.of_services.items()}


class ImageMaking:
    """Make the images of a deploy: build → push → digest. The build may run beside what else is found out."""

    def __init__(self, project: Project, tools: LocalTools, *, skip_build: bool, skip_push: bool) -> None:
        self._project = project
        self._tools = tools
        self._skip_build = skip_build
        self._skip_push = skip_push
        self._begun: Background[tuple[str, list[Built]]] | None = None
        self._cancelled = threading.Event()

    def begin(self) -> None:
        """Build from now on, beside the caller; not where a build pushes, which is for the plan to say."""
        is_pushed = any(len(build.platforms) > 1 for build in planned(self._project))
        if not (self._skip_build or is_pushed) and planned(self._project):
            self._begun = Background(self._build, THREAD)

    def stop(self) -> None:
        """Cancel a running build, whose result is not needed now. The builder keeps its cache."""
        running, self._begun = self._begun, None
        self._cancelled.set()
        while running and not running.is_done:
            if isinstance(self._tools.shell, Local):
                self._tools.shell.interrupt()
            running.wait(TICK)
        self._cancelled.clear()

    def made(self, after_build: Callable[[], None]) -> MadeImages:
        """Return the images, pushed. Raises BuildFailed, NothingBuilt, RegistryError and what `after_build` raises."""
        project, tools = self._project, self._tools
        config, built = self._begun.result() if self._begun else self._build()
        if built:
            after_build()
        made = (
            present_images(project, tools.shell, built) if self._skip_push else _pushed(project, tools, config, built)
        )
        return MadeImages({service: made[image.reference] for service, image in project.images().items()}, config)

    def _build(self) -> tuple[str, list[Built]]:
        config = _logged_in(self._project, self._tools, skip_build=self._skip_build, skip_push=self._skip_push)
        options = BuildOptions(may_push=not self._skip_push, config=config, is_cancelled=self._cancelled.is_set)
        return config, [] if self._skip_build else build_all(self._project, self._tools, options)


def _pushed(project: Project, tools: LocalTools, config: str, built: list[Built]) -> dict[str, Built]:
    return {item.image.reference: item for item in push_all(project, tools, config=config, built=built)}


def _logged_in(project: Project, tools: LocalTools, *, skip_build: bool, skip_push: bool) -> str:
    """Return the docker config folder to build and push with; the local registry is started where it has to be."""
    if skip_push or not planned(project):
        return "" if skip_build else features.log_in(project, tools)
    if project.config.registry.is_local:
        local_registry.ensure(project, tools)
    return registry.log_in(project, tools)


def to_be_made(project: Project, *, skip_build: bool) -> tuple[PlannedImage, ...]:
    """Return the images of this version as a deploy begins: of none is known what it will be."""
    return tuple(
        PlannedImage(build.image, build.services, is_to_be_built=not skip_build, is_known=False)
        for build in planned(project)
        if build.image
    )


def known_images(project: Project, tools: LocalTools, *, skip_build: bool, skip_push: bool) -> tuple[PlannedImage, ...]:
    """Return the images of this version, as the registry or, with `skip_push`, the engine here has them.

    Raises NothingBuilt where nothing is to be built and an image is nowhere.
    """
    return tuple(
        _known(project, tools, image, skip_push=skip_push) for image in to_be_made(project, skip_build=skip_build)
    )


def _known(project: Project, tools: LocalTools, planned_image: PlannedImage, *, skip_push: bool) -> PlannedImage:
    image = planned_image.image
    digest = "" if skip_push else _in_registry(project, tools, image)
    if digest:
        return replace(planned_image, image=replace(image, digest=digest), is_known=True)
    if planned_image.is_to_be_built and not skip_push:
        return planned_image
    here = inspect(tools.shell, image.reference)
    if here and skip_push:
        return replace(planned_image, image=here.lasting(image), is_known=True)
    if here is None and not planned_image.is_to_be_built:
        raise NothingBuilt(
            f"`{image.reference}` was not built on this machine, and the registry does not have it",
            hint="run `dev build`, or deploy without `--skip-build`",
        )
    return planned_image


def _in_registry(project: Project, tools: LocalTools, image: Image) -> str:
    """Return the digest that the registry has; empty where it has none, or does not say without a login."""
    try:
        stored = registry.stored(project, tools.shell, image, "")
    except RegistryUnknown as unknown:
        # One on this machine is started by the deploy.
        is_to_be_started = project.config.registry.is_local and unknown.cause == "refused"
        if unknown.cause != "denied" and not is_to_be_started:
            tools.output.warn(f"{unknown.message}; the image is planned as a new one")
        return ""
    return stored.digest if stored else ""
