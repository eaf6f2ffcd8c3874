"""Build and push the images of this version, or find out which of them exist already."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from kamal_dev.errors import DevError, Interrupted, NothingBuilt, RegistryUnknown
from kamal_dev.model import Build, Image
from kamal_dev.pipeline.images import features, local_registry, registry
from kamal_dev.pipeline.images.building import Built, build_one, buildable, planned
from kamal_dev.pipeline.images.engine import inspect
from kamal_dev.pipeline.images.parallel import THREAD, BuildRoom, each_image
from kamal_dev.pipeline.images.pushing import keep_one, push_one
from kamal_dev.pipeline.images.recipe import BuildOptions
from kamal_dev.pipeline.images.source_check import UNPUSHED
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.plan.request import PlannedImage
from kamal_dev.project import Project
from kamal_dev.shell.fanout import Background
from kamal_dev.shell.local import Local
from kamal_dev.values import dataclass

TICK = 0.2  # seconds between two attempts to stop a build, which may be between two commands


@dataclass(frozen=True)
class MadeImages:
    """Hold the image built for each service, with its digest; `config` is the docker config folder with the login."""

    of_services: dict[str, Built]
    config: str = ""

    @property
    def images(self) -> dict[str, Image]:
        """The image of each built service."""
        return {service: built.image for service, built in self.of_services.items()}


class ImageMaking:
    """Build and push the images of a deploy in parallel, optionally while hosts are observed.

    `room` is shared with other sources that are deployed at the same time; their builds must not begin early, because
    `stop` ends all builds.
    """

    def __init__(
        self, project: Project, tools: LocalTools, *, skip_build: bool, skip_push: bool, room: BuildRoom | None = None
    ) -> None:
        self._project = project
        self._tools = tools
        self._room = room
        self._places = room.places if room else None
        self._skip_build = skip_build
        self._skip_push = skip_push
        self._begun: Background[tuple[str, list[Built]]] | None = None
        self._is_pushing = False
        self._cancelled = threading.Event()
        self._wanted = threading.Event()
        # After an interrupt, nobody decides whether the images are wanted: the thread would wait forever.
        tools.resources.callback(self._cancelled.set)

    def begin(self, *, push: bool) -> None:
        """Start building in the background; with `push`, each image is pushed once it is built and `made` is called.

        Nothing is pushed before a plan says that a host can take it; skipped if the build itself pushes.
        """
        builds = planned(self._project)
        pushes_itself = any(len(build.platforms) > 1 for build in builds)
        if builds and not pushes_itself and (push or not self._skip_build):
            self._is_pushing = push
            self._begun = Background(lambda: self._make(push=push), THREAD)

    def stop(self) -> None:
        """Cancel builds whose result is not needed now. The builder keeps its cache."""
        running, self._begun = self._begun, None
        self._cancelled.set()
        while running and not running.is_done:
            if isinstance(self._tools.shell, Local):
                self._tools.shell.interrupt(THREAD)
            running.wait(TICK)
        self._is_pushing = False
        self._cancelled.clear()

    def made(self, after_build: Callable[[], None]) -> MadeImages:
        """Return the pushed images; `after_build` is called before a push that has not started.

        Raises BuildFailed, NothingBuilt, RegistryError and what `after_build` raises.
        """
        project, builds = self._project, planned(self._project)
        self._wanted.set()
        config, images = self._begun.result() if self._begun else self._make(push=False)
        if not self._is_pushing:
            if images:
                after_build()
            known = {item.image.reference: item for item in images}
            images = each_image(
                builds, lambda build: self._published(build, config, known.get(str(build.image))), self._places
            )
        made = {str(build.image): image for build, image in zip(builds, images, strict=True)}
        return MadeImages({service: made[str(image)] for service, image in project.images().items()}, config)

    def _make(self, *, push: bool) -> tuple[str, list[Built]]:
        """Build each image and `push` it; return the docker config folder, and the images if there are any."""
        project, tools = self._project, self._tools
        config = self._logged_in()
        options = BuildOptions(may_push=not self._skip_push, config=config, is_cancelled=self._cancelled.is_set)
        pushed: list[str] = []

        def make(build: Build) -> Built | None:
            built = (
                None
                if self._skip_build
                else self._once("build", build, lambda: build_one(project, tools, build, options))
            )
            if not push:
                return built
            published = self._published(build, config, built, self._await_plan)
            pushed.append(f"`{build.image}`")
            return published

        builds = planned(project) if self._skip_build else buildable(project, tools, options)
        try:
            return config, list(filter(None, each_image(builds, make, self._places)))
        except DevError as error:
            if pushed and not self._skip_push and error.left_behind == UNPUSHED:
                verb = "was" if len(pushed) == 1 else "were"
                error.left_behind = f"{', '.join(sorted(pushed))} {verb} pushed; no container was changed"
            raise

    def _await_plan(self) -> None:
        while not self._wanted.wait(TICK):
            if self._cancelled.is_set():
                raise Interrupted("the images are not needed")

    def _published(
        self, build: Build, config: str, built: Built | None, ready: Callable[[], None] = lambda: None
    ) -> Built:
        image = build.image
        assert image
        if self._skip_push:
            ready()
            return keep_one(self._tools.shell, image, built.present if built else None)
        return self._once("push", build, lambda: push_one(self._project, self._tools, image, config, built, ready))

    def _once(self, verb: str, build: Build, work: Callable[[], Built]) -> Built:
        """Do the work unless another source has done it: equal names are equal versions of the source."""
        return self._room.once((verb, str(build.image)), work) if self._room else work()

    def _logged_in(self) -> str:
        """Log in for building and pushing; with the same registry, once for all sources."""
        skip_build, skip_push = self._skip_build, self._skip_push

        def log_in() -> str:
            return _logged_in(self._project, self._tools, skip_build=skip_build, skip_push=skip_push)

        is_equal = self._room and not skip_push and planned(self._project)
        return self._room.once(("login",), log_in) if self._room and is_equal else log_in()


def _logged_in(project: Project, tools: LocalTools, *, skip_build: bool, skip_push: bool) -> str:
    """Return the docker config folder for building and pushing; starts the local registry if necessary."""
    if skip_push or not planned(project):
        return "" if skip_build else features.log_in(project, tools)
    if project.config.registry.is_local:
        local_registry.ensure(project, tools)
    return registry.log_in(project, tools)


def to_be_made(project: Project, *, skip_build: bool) -> tuple[PlannedImage, ...]:
    """Return the images of this version at the start of a deploy, when nothing is known about them."""
    return tuple(
        PlannedImage(build.image, build.services, is_to_be_built=not skip_build, is_known=False)
        for build in planned(project)
        if build.image
    )


def known_images(project: Project, tools: LocalTools, *, skip_build: bool, skip_push: bool) -> tuple[PlannedImage, ...]:
    """Return the images of this version as the registry has them, or the local engine with `skip_push`.

    Raises NothingBuilt if the build is skipped and an image does not exist.
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
    """Return the digest in the registry; empty if it has none, or does not tell without a login."""
    try:
        stored = registry.stored(project, tools.shell, image, "")
    except RegistryUnknown as unknown:
        # The deploy will start a local registry that does not run yet.
        is_to_be_started = project.config.registry.is_local and unknown.cause == "refused"
        if unknown.cause != "denied" and not is_to_be_started:
            tools.output.warn(f"{unknown.message}; the image is planned as a new one")
        return ""
    return stored.digest if stored else ""
