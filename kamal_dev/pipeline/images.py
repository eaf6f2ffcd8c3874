"""Make the images of one version: find or build them, push them, know their digests."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kamal_dev.commands import docker
from kamal_dev.commands.buildx import buildx
from kamal_dev.errors import BuildFailed, NothingBuilt, RegistryError
from kamal_dev.model import Build, Image, Secret, Step
from kamal_dev.pipeline import registry
from kamal_dev.pipeline.engine import last_line, require_buildx, require_engine
from kamal_dev.pipeline.run import Run

LABEL = "kamal-dev.build"
LAST_LINES = 20


@dataclass(frozen=True)
class BuildOptions:
    """Say how to build: the flags of `dev build`."""

    no_cache: bool = False
    platform: tuple[str, ...] = ()
    progress: str = ""
    again: bool = False


def builds(run: Run) -> tuple[Build, ...]:
    """Return what is to be built, each with the image it gets."""
    project = run.project
    return tuple(
        replace(build, image=project.image(project.main if project.main in build.services else build.services[0]))
        for build in project.builds
    )


def by_service(made: Mapping[Image, Image], run: Run) -> dict[str, Image]:
    """Return the image of each built service; `made` maps a tag to itself with its digest."""
    return {
        service: made.get(build.image, build.image) for build in builds(run) if build.image for service in build.services
    }


def step_for(run: Run, build: Build, options: BuildOptions) -> Step:
    """Return the build's one buildx command, labelled with a hash of itself.

    The label tells a later run whether an image of this version was made by the same command.
    """
    project, settings = run.project, run.project.config.build
    assert build.image
    plain: dict[str, Any] = {
        "image": build.image,
        "no_cache": options.no_cache,
        "platform": options.platform or settings.platform,
        "progress": options.progress,
        "builder": settings.builder,
        "secret_values": _secret_values(run, build),
    }
    return buildx(project.with_settings(build), **plain)


def _secret_values(run: Run, build: Build) -> dict[str, Secret]:
    names = [secret.environment for secret in build.secrets if secret.environment]
    return {name: run.project.require(name) for name in (*names, *run.project.config.build.secrets)}
