"""Push the images of one version, and get the digest of each. Builds nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from kamal_dev.commands import docker, refusal
from kamal_dev.commands.cache import caching
from kamal_dev.errors import NothingBuilt, RegistryError, RegistryUnknown
from kamal_dev.model import Build, Image
from kamal_dev.output import Output
from kamal_dev.output.layer_log import LayerLog
from kamal_dev.pattern import pattern
from kamal_dev.pipeline.images import registry
from kamal_dev.pipeline.images.building import Built, planned
from kamal_dev.pipeline.images.engine import Present, inspect, last_line, why
from kamal_dev.pipeline.images.parallel import each_image
from kamal_dev.pipeline.images.registry import Stored
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project
from kamal_dev.shell import Shell

EVERY = 0.5  # seconds between two progress events
_DIGEST = pattern(r"digest: (sha256:[0-9a-f]{64})")


class PushProgress:
    """Show the lines of a push, and how much of it is done: in bytes, or in layers if nothing has to be sent."""

    def __init__(self, output: Output, image: Image) -> None:
        self._output = output
        self._image = image.reference
        self._log = LayerLog()
        self._finished = 0
        self._shown = 0.0

    def __call__(self, line: str) -> None:
        """Process one line of `docker push`."""
        layer = self._log.take(line)
        if layer is None or layer.is_done or not layer.sent:
            self._output.line("pushing", line, subject=self._image)
        if layer:
            self._count()

    def _count(self) -> None:
        finished, layers = self._log.layers
        sent, total = self._log.sent
        if finished > self._finished and not sent:
            self._output.progress("pushing", finished, layers, "layers", subject=self._image)
        elif sent and (finished > self._finished or time.monotonic() - self._shown > EVERY):
            self._shown = time.monotonic()
            self._output.progress("pushing", sent, total, "bytes", subject=self._image)
        self._finished = finished

    @property
    def sent(self) -> int:
        """The number of bytes sent."""
        return self._log.sent[0]


def push_all(project: Project, tools: LocalTools, *, config: str, built: Iterable[Built] = ()) -> list[Built]:
    """Push every image of this version in parallel, and return them with their digests. See `push_one`."""
    known = {item.image.reference: item for item in built}

    def push(build: Build) -> Built:
        assert build.image
        return push_one(project, tools, build.image, config, known.get(build.image.reference))

    return each_image(planned(project), push)


def keep_one(shell: Shell, image: Image, built: Present | None) -> Built:
    """Return the local image that has this version's tag. Raises NothingBuilt.

    It also gets a tag made from its id, which stays valid if another version has the same content. Its digest is that
    of an earlier push, empty if there was none.
    """
    present = built or inspect(shell, image.reference)
    if present is None:
        raise _nothing_built(image)
    lasting = present.lasting(image)
    shell.run(docker.tag(present.id, lasting))
    return Built(lasting, present)


def push_one(
    project: Project,
    tools: LocalTools,
    image: Image,
    config: str,
    built: Built | None,
    before_push: Callable[[], None] = lambda: None,
) -> Built:
    """Push one image of this version and return it with its digest; `before_push` is called if it must be sent.

    After a build, exactly the image that the build reported is pushed, even if the tag was moved since. An image that
    the registry already has under the same digest is not sent again. Raises RegistryError, and NothingBuilt if the
    image is neither here nor in the registry.
    """
    if built and built.present is None:
        return built
    present = built.present if built else inspect(tools.shell, image.reference)
    if built and present and not present.pushed_as(image):
        # The registry cannot have an image that was built just now: the push itself shows whether the registry
        # answers.
        before_push()
        return _push(project, tools, image.on([present.platform]), config, present)
    stored = _stored(project, tools.shell, image, config, may_push=present is not None)
    if stored and (present is None or present.has(image, stored.digest) or (not built and _is_richer(stored))):
        tools.output.skip("pushing", image.reference)
        same = present if present and present.has(image, stored.digest) else None
        return Built(_as_stored(tools.shell, replace(image, digest=stored.digest), config, stored, same), same)
    if present is None:
        raise _nothing_built(image)
    before_push()
    return _push(project, tools, image.on([present.platform]), config, present)


def _as_stored(local: Shell, image: Image, config: str, stored: Stored, present: Present | None) -> Image:
    """Return an image with its platforms, from the registry or the local engine."""
    if stored.platforms or present:
        return image.on(stored.platforms or ([present.platform] if present else ()))
    return image.on(registry.configurations(local, image, config))


def _is_richer(stored: Stored) -> bool:
    """Return whether the registry has a multi-platform image, of which the local engine can hold only one platform."""
    return len(stored.platforms) > 1


def _stored(project: Project, shell: Shell, image: Image, config: str, *, may_push: bool) -> Stored | None:
    """Ask the registry what it has. Raises RegistryUnknown, unless the push itself can tell.

    Some registries refuse to answer for a repository that does not exist before its first push.
    """
    try:
        return registry.stored(project, shell, image, config)
    except RegistryUnknown as unknown:
        if may_push and unknown.cause == "denied":
            return None
        unknown.left_behind = "nothing was deployed"
        raise


def _push(project: Project, tools: LocalTools, image: Image, config: str, present: Present) -> Built:
    tools.output.start("pushing", image.reference)
    progress = PushProgress(tools.output, image)
    pushed, seconds = _pushed(tools, image, config, present, progress)
    if pushed is None:
        # Another build has moved the tag since: move it back to this image.
        tools.shell.run(docker.tag(present.id, image))
        pushed, seconds = _pushed(tools, image, config, present, progress)
    if pushed is None:
        raise _another(image)
    tools.output.done("pushing", image.reference, seconds=seconds, total=progress.sent, unit="bytes")
    _push_cache(project, tools, image, present, config)
    return Built(pushed, present)


def _pushed(
    tools: LocalTools, image: Image, config: str, present: Present, progress: PushProgress
) -> tuple[Image | None, float]:
    """Push the tag and return the pushed image with its digest; None if that is not `present`."""
    result = tools.shell.run(docker.push(image, config=config), on_line=progress)
    if not result:
        raise _refused(image, last_line(why(result)))
    digests = _DIGEST.findall(result.output)
    known = inspect(tools.shell, present.id) if digests else None
    is_same = known is not None and known.has(image, digests[-1])
    return (replace(image, digest=digests[-1]) if is_same else None), result.seconds


def _another(image: Image) -> RegistryError:
    return RegistryError(
        f"`{image.reference}` was pushed, but not the image that was built",
        hint="another build may use the same tag at the same time; run `dev push` again",
        left_behind="nothing was deployed",
    )


def _refused(image: Image, reason: str) -> RegistryError:
    otherwise = "check that the account may write to this repository"
    advice = otherwise if refusal.cause(reason) == "denied" else refusal.hint(reason, image.server, otherwise=otherwise)
    return RegistryError(
        f"the push of `{image.reference}` failed: {reason}",
        hint=f"{advice}; the image itself is built and kept, run `dev push` to retry",
        left_behind="nothing was deployed",
    )


def _push_cache(project: Project, tools: LocalTools, image: Image, present: Present, config: str) -> None:
    """Push the tag from which the next build reads its inline cache; a failure only costs time."""
    stable = caching(project.config.build.cache, image).tag
    if stable and not (
        tools.shell.run(docker.tag(present.id, stable)) and tools.shell.run(docker.push(stable, config=config))
    ):
        tools.output.warn(f"`{stable.reference}` could not be pushed: builds on other machines will not have a cache")


def _nothing_built(image: Image) -> NothingBuilt:
    return NothingBuilt(
        f"`{image.reference}` was not built on this machine, and the registry does not have it",
        hint="run `dev build`, or deploy without `--skip-build`",
    )
