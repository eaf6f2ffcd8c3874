"""How each image of a version is built: the command, and the file for Features. Runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Any

from kamal_dev.commands import features
from kamal_dev.commands.buildx import buildx
from kamal_dev.commands.cache import caching
from kamal_dev.commands.features import Program
from kamal_dev.errors import UsageError
from kamal_dev.model import Build, Step
from kamal_dev.pipeline.images.features import lockfile
from kamal_dev.project import Project
from kamal_dev.values import dataclass

# All images get the same timestamp: with the time of the build in it, the same content would become another image
# each time. A value set by the user is kept. Source: reproducible-builds.org.
EPOCH = ("SOURCE_DATE_EPOCH", "0")
# Without these, buildx calls git seven times and the builder once for a provenance record that no image gets.
SPARING = (("BUILDX_GIT_INFO", "false"), ("BUILDX_METADATA_PROVENANCE", "disabled"))


@dataclass(frozen=True)
class BuildOptions:
    """Hold how to build: the flags of `dev build`.

    `may_push` lets a multi-platform image, which no engine can hold, go straight to the registry. `config` is the
    docker config folder with the registry's credential, `report` the file for buildx's result. The failure of a build
    that `is_cancelled` is not reported.
    """

    no_cache: bool = False
    platform: tuple[str, ...] = ()
    progress: str = ""
    may_push: bool = False
    config: str = ""
    report: Path | None = None
    is_cancelled: Callable[[], bool] = bool


@dataclass(frozen=True)
class Recipe:
    """Hold how one image is built.

    `plain` is the command without Features. With Features, `featured` runs instead, on a devcontainer.json with the
    text `configuration`. With `is_pushed`, the build pushes the image and does not keep it here.
    """

    plain: Step
    is_pushed: bool = False
    featured: Step | None = None
    configuration: Mapping[str, Any] = field(default_factory=dict)

    @property
    def step(self) -> Step:
        """The step to run."""
        return self.featured or self.plain


def require_storable(build: Build, options: BuildOptions) -> None:
    """Raise UsageError for an image for several platforms that has to stay on this machine."""
    if len(options.platform or build.platforms) > 1 and not options.may_push:
        raise UsageError(
            "Docker on this machine cannot store an image for several platforms",
            hint="`dev deploy` builds and pushes it in one step; or choose one `--platform`",
        )


def recipe(
    project: Project, build: Build, options: BuildOptions | None = None, program: Program | None = None
) -> Recipe:
    """Return how an image is built; `program` is the local devcontainer CLI. Raises what `require_storable` raises."""
    assert build.image
    options = options or BuildOptions()
    require_storable(build, options)
    settings = project.config.build
    cache = caching(settings.cache, build.image)
    platforms = options.platform or build.platforms
    common: dict[str, Any] = {"builder": settings.builder, "cache_from": cache.sources, "cache_to": cache.targets}
    common |= {"labels": (("kamal-dev.service", project.config.service),), "progress": options.progress or "plain"}
    way: dict[str, Any] = {"push": len(platforms) > 1, "platform": platforms, "config": options.config}
    way |= {"no_cache": options.no_cache}
    made = buildx(build, image=build.image, metadata_file=options.report, **common, **way)
    plain = _settled(project, build, replace(made, cwd=project.root))
    if build.features is None:
        return Recipe(plain, way["push"])
    is_pinned = lockfile(project.tree, build.features) is not None
    featured = features.devcontainer(build, program or Program(), is_pinned=is_pinned, **way)
    return Recipe(plain, way["push"], _settled(project, build, featured), features.configuration(build, **common))


def _settled(project: Project, build: Build, step: Step) -> Step:
    """Return a build with defaults for the variables that the user did not set."""
    own = {*project.environment, *dict(build.args)}
    added = tuple(item for item in (EPOCH, *SPARING) if item[0] not in own)
    return replace(step, environment=(*step.environment, *added))
