"""Predict the platforms of this version's images. Does no I/O."""

from __future__ import annotations

from kamal_dev.model import Image
from kamal_dev.pipeline.images.building import planned
from kamal_dev.project import Project


def expected(project: Project, engine: str) -> tuple[Image, ...]:
    """Return the images that are to be built, with the platforms that they will have.

    `engine` is the platform of the local engine, the default if nothing else is configured. The platform of a remote
    builder is unknown before it has built.
    """
    settings = project.config.build
    usual = project.environment.get("DOCKER_DEFAULT_PLATFORM") or ("" if settings.builder else engine)
    return tuple(
        build.image.on(build.platforms or tuple(filter(None, [usual]))) for build in planned(project) if build.image
    )
