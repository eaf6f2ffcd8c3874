"""Whether a host can run what images are made for. Asks no host: it compares what was found with what the host said."""

from __future__ import annotations

from collections.abc import Iterable

from kamal_dev.commands.events import Facts
from kamal_dev.errors import HostError
from kamal_dev.model import Host, Image
from kamal_dev.pipeline.images.building import planned
from kamal_dev.pipeline.run.run import Run

# What processors run besides their own: the 32 bits that came before.
_ALSO = {"amd64": {"386"}, "arm64": {"arm"}}
UNTOUCHED = "nothing was changed on the host"


def expected(run: Run, engine: str) -> tuple[Image, ...]:
    """Return the images that are to be built, with the platforms that they will have.

    `engine` is the platform of the engine here, which counts where nothing else is said; of
    another builder nobody knows before it has built.
    """
    settled = run.project.config.build
    usual = run.project.environment.get("DOCKER_DEFAULT_PLATFORM") or ("" if settled.builder else engine)
    return tuple(
        build.image.on(build.platforms or tuple(filter(None, [usual]))) for build in planned(run) if build.image
    )


def require(target: Host, facts: Facts, images: Iterable[Image]) -> None:
    """Refuse a host that can run one of these images on no platform that it has. Raises HostError."""
    for image in images:
        if not runs(image.platforms, facts):
            raise HostError(
                target.name,
                f"`{image.reference}` is an image for {listed(image.platforms)}, and the host is linux/{facts.arch}",
                hint=f"build it for the host too: `build.platform: linux/{facts.arch}` in config/dev.yml "
                "(a list for hosts of several kinds); or deploy to another host",
                left_behind=UNTOUCHED,
            )


def require_asked(run: Run, target: Host, facts: Facts) -> None:
    """Refuse a host that does not run the `platform` of a service whose image is not built. Raises HostError."""
    for service in run.project.compose.services:
        asked = [service.platform] if service.platform else []
        if service.is_active and not service.built_as and not runs(asked, facts):
            raise HostError(
                target.name,
                f"{service.where}: `platform: {service.platform}`, and the host is linux/{facts.arch}",
                hint=f"leave `platform` out where `{service.image}` exists for linux/{facts.arch}, "
                "or let the host emulate it (binfmt)",
                left_behind=UNTOUCHED,
            )


def require_foreign(target: Host, facts: Facts, reference: str, platform: str) -> None:
    """Refuse an image of others that the host cannot run. Raises HostError."""
    if not runs({platform} if platform else (), facts):
        raise HostError(
            target.name,
            f"`{reference}` is an image for {platform}, and the host is linux/{facts.arch}",
            hint=f"name an image that exists for linux/{facts.arch}, or deploy to another host",
            left_behind=UNTOUCHED,
        )


def runs(platforms: Iterable[str], facts: Facts) -> bool:
    """Whether the host runs one of these, by itself or through an emulator; also where one of both is not known."""
    names = {platform.split("/")[1] for platform in platforms if platform.count("/") >= 1}
    own = {facts.arch, *_ALSO.get(facts.arch, ()), *facts.emulates}
    return not names or not facts.arch or bool(names & own)


def listed(platforms: Iterable[str]) -> str:
    """Return platforms as a sentence has them."""
    return ", ".join(sorted(platforms))
