"""Make the images of one version: find or build them, push them, know their digests."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from kamal_dev import compose
from kamal_dev.commands import docker
from kamal_dev.commands.cache import caching
from kamal_dev.config import PLACEHOLDER_USER, not_set
from kamal_dev.errors import BuildFailed, ConfigError, NothingBuilt, Problem, RegistryError
from kamal_dev.model import REDACTED, Build, BuildSecret, Image, ImageConfig, Result, Secret, Step
from kamal_dev.pipeline import features, registry
from kamal_dev.pipeline.engine import last_line, require_buildx
from kamal_dev.pipeline.recipe import BuildOptions, recipe
from kamal_dev.pipeline.run import Run
from kamal_dev.project import built

LAST_LINES = 20


@dataclass(frozen=True)
class Present:
    """Describe an image as the engine here has it; `digests` are `name@sha256:…`."""

    id: str
    digests: tuple[str, ...]
    config: ImageConfig

    def has(self, image: Image, digest: str) -> bool:
        """Whether this very image is what the registry calls `digest`."""
        return f"{image.name}@{digest}" in self.digests or digest == self.id


def planned(run: Run) -> tuple[Build, ...]:
    """Return what is to be built, each with its image and with what config/dev.yml adds."""
    return tuple(_settled(run, build) for build in run.project.builds)


def build_all(run: Run, options: BuildOptions) -> list[Image]:
    """Build every image of this version. Raises BuildFailed, and ConfigError for what cannot be built."""
    builds = require_buildable(run)
    if not builds:
        run.output.note("Nothing to build: every service uses an image that exists")
        return []
    return [_build(run, build, options) for build in builds]


def require_buildable(run: Run, also: Iterable[str] = ()) -> tuple[Build, ...]:
    """Return what is to be built; raises ConfigError for what could not be, before anything is begun.

    `also` are variables that are needed besides: all that are not set are named at once.
    """
    run.project.require_deployable()
    builds = planned(run)
    _require_username(run, builds)
    for build in builds:
        _refuse_leak(build)
        _require_dockerfile(run, build)
    run.project.require_all(dict.fromkeys((*also, *secrets(run, builds))))
    for build in builds:
        features.require(run, build)
    return builds


def push_all(run: Run, *, config: str, built: Collection[Image] = ()) -> list[Image]:
    """Push every image of this version and return them with their digests.

    `built` are those known to be here. One that the registry already has under the same
    digest is not sent again. Raises NothingBuilt where an image is neither here nor in the
    registry, RegistryError.
    """
    return [_push(run, image, config, image in built) for image in _names(planned(run))]


def found(run: Run) -> list[Image]:
    """Return the images of this version as the engine here has them, known by their ids. Raises NothingBuilt."""
    return [_found(run, image) for image in _names(planned(run))]


def _found(run: Run, image: Image) -> Image:
    present = inspect(run, image)
    if present is None:
        raise _nothing_built(image)
    return replace(image, digest=present.id)


def inspect(run: Run, image: Image) -> Present | None:
    """Ask the engine here for an image; None where it has none."""
    result = run.local.run(docker.describe(image.reference), timeout=30)
    if not result:
        return None
    data = json.loads(result.output)
    return Present(data["id"], tuple(data["digests"] or ()), ImageConfig.from_json(data))


def _names(builds: tuple[Build, ...]) -> list[Image]:
    return [build.image for build in builds if build.image]


def _settled(run: Run, build: Build) -> Build:
    settings = run.project.config.build
    own = {name: value for name, value in build.args if name not in dict(settings.args)}
    listed = {secret.id for secret in build.secrets}
    secrets = tuple(BuildSecret(name, environment=name) for name in settings.secrets if name not in listed)
    return replace(
        build,
        args=(*own.items(), *settings.args),
        secrets=build.secrets + secrets,
        platforms=settings.platform or build.platforms,
    )


def _require_username(run: Run, builds: tuple[Build, ...]) -> None:
    """Refuse to build under a name that is not complete: the registry's user is part of it."""
    project = run.project
    if any(image.repository.startswith(f"{PLACEHOLDER_USER}/") for image in _names(builds)):
        raise not_set(project.config.secrets_file, [project.config.registry.username_env])


def _refuse_leak(build: Build) -> None:
    """Refuse a secret that a compose file hands to a build argument, where it stays readable in the image."""
    for name, value in build.args:
        if value and REDACTED in value:
            message = f"the build argument `{name}` takes its value from a secret"
            raise ConfigError(
                Problem(build.where.path, build.where.line, message),
                hint="list it in `build.secrets`, and use `RUN --mount=type=secret,id=…` in the Dockerfile",
            )


def _require_dockerfile(run: Run, build: Build) -> None:
    path = Path(build.dockerfile)
    if build.dockerfile_inline or not path.is_absolute() or run.project.tree.kind(path) == "file":
        return
    raise ConfigError(
        Problem(build.where.path, build.where.line, f"there is no Dockerfile at {path}"),
        hint="`dockerfile` is relative to the build context",
    )


def _build(run: Run, build: Build, options: BuildOptions) -> Image:
    assert build.image
    made = recipe(run.project, build, options, features.program(run, build))
    # No version stands for what is outside the repository: what was built of it before may be of another state.
    is_known = not options.again and not compose.is_outside(build, run.project.compose.reader)
    present = inspect(run, build.image) if is_known else None
    if present and built.was_built(run.project.private(), build.image.reference, made.mark, present.id):
        run.output.done(f"Built already: `{build.image.reference}`")
        return build.image
    run.output.start(f"Building `{build.image.reference}`")
    features.warn(run, build)
    step = _with_secrets(run, build, made.step)
    with features.staged(run.project.tree, build, step, made.configuration) as ready:
        result = run.local.run(ready, on_line=features.quieter(run.output.line))
    if not result:
        require_buildx(run.local)
        raise BuildFailed(
            f"the build of {', '.join(build.services)} failed ({build.where}):\n{result.tail(LAST_LINES)}",
            hint="mend it and run `dev build`; `--no-cache` builds every layer anew",
            left_behind="nothing was pushed or deployed",
        )
    run.output.done(f"Built `{build.image.reference}`", seconds=result.seconds)
    made_now = inspect(run, build.image)
    if made_now and not run.is_paper:
        built.note(run.project.private(), build.image.reference, made.mark, made_now.id)
    return build.image


def secrets(run: Run, builds: Iterable[Build]) -> tuple[str, ...]:
    """Return the variables that builds take as secrets, but for those that only `.env` sets."""
    taken = [secret.environment for build in builds for secret in _settled(run, build).secrets]
    said = _said(run)
    return tuple(dict.fromkeys(name for name in taken if name and name not in said))


def _said(run: Run) -> dict[str, Secret]:
    """Return what only `.env` says, which Compose takes where the environment has nothing."""
    return {name: Secret(value) for name, value in run.project.compose.values if name not in run.project.secrets_file}


def _with_secrets(run: Run, build: Build, step: Step) -> Step:
    """Give a build the values of its secrets, asked for only now that it runs."""
    said = _said(run)
    names = [secret.environment for secret in build.secrets if secret.environment]
    values = ((name, said.get(name) or run.project.require(name)) for name in names)
    return replace(step, environment=(*step.environment, *values))


def _push(run: Run, image: Image, config: str, is_here: bool) -> Image:
    known = registry.digest(run, image, config)
    present = inspect(run, image) if known or not is_here else None
    if known and (present is None or present.has(image, known)):
        run.output.done(f"Pushed already: `{image.reference}`")
        return replace(image, digest=known)
    if present is None and not is_here:
        raise _nothing_built(image)
    run.output.start(f"Pushing `{image.reference}`")
    result = run.local.run(docker.push(image, config=config), on_line=run.output.line)
    if not result:
        raise RegistryError(
            f"the push of `{image.reference}` failed: {last_line(result.tail())}",
            hint="check that the account may write to this repository; the image itself is built and kept",
            left_behind="nothing was deployed",
        )
    pushed = replace(image, digest=_verified(run, image, config, result))
    run.output.done(f"Pushed `{image.reference}`", seconds=result.seconds)
    _push_cache(run, image, config)
    return pushed


def _push_cache(run: Run, image: Image, config: str) -> None:
    """Push the tag that the next build reads an inline cache from; a failure costs time only."""
    stable = caching(run.project.config.build.cache, image).tag
    if stable and not (run.local.run(docker.tag(image, stable)) and run.local.run(docker.push(stable, config=config))):
        run.output.warn(f"`{stable.reference}` could not be pushed: the next build elsewhere has no cache")


def _verified(run: Run, image: Image, config: str, push: Result) -> str:
    """Return the digest that the registry itself has, which is the one that the push ended with."""
    known = registry.digest(run, image, config)
    if known and known in push.output:
        return known
    raise RegistryError(
        f"`{image.reference}` was pushed, but the registry has {known or 'nothing'} under that tag",
        hint="someone else may push the same tag; run `dev push` again",
        left_behind="nothing was deployed",
    )


def _nothing_built(image: Image) -> NothingBuilt:
    return NothingBuilt(
        f"`{image.reference}` was not built on this machine, and the registry does not have it",
        hint="run `dev build`, or deploy without `--skip-build`",
    )
