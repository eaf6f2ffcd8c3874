"""Build the images of one version. The builder's cache decides what is rebuilt, not the name of the version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from kamal_dev import compose
from kamal_dev.commands import refusal
from kamal_dev.config import PLACEHOLDER_USER, not_set
from kamal_dev.errors import BuildFailed, ConfigError, Problem
from kamal_dev.model import REDACTED, Build, BuildSecret, Image, Result, Secret, Step
from kamal_dev.output.build_log import failed_step
from kamal_dev.pattern import pattern
from kamal_dev.pipeline.images import features, registry
from kamal_dev.pipeline.images.engine import Present, inspect, require_buildx, require_engine
from kamal_dev.pipeline.images.parallel import THREAD, each_image
from kamal_dev.pipeline.images.recipe import BuildOptions, Recipe, recipe, require_storable
from kamal_dev.pipeline.images.source_check import UNPUSHED, require_unchanged
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project, context, temporary
from kamal_dev.shell import Shell
from kamal_dev.shell.fanout import Background
from kamal_dev.values import dataclass

LAST_LINES, LONGEST = 20, 60  # lines of the whole output, and of the failed step
AGAIN = "fix it and run `dev build`; `--no-cache` rebuilds every layer"
_BASE = pattern(r"failed to (?:resolve source metadata for|copy|do request).*?([\w.-]+\.[\w-]+(?::\d+)?)/")


@dataclass(frozen=True)
class Built:
    """Hold an image as its build reported it: its id in the local engine, or the digest that it pushed.

    `present` is the local image; None if the build pushed it.
    """

    image: Image
    present: Present | None = None


def planned(project: Project) -> tuple[Build, ...]:
    """Return the builds of this version, with the options of config/dev.yml and the image of each."""
    return tuple(_settled(project, build) for build in project.builds)


def build_all(project: Project, tools: LocalTools, options: BuildOptions) -> list[Built]:
    """Build every image of this version in parallel.

    Raises BuildFailed, SourceChanged, and ConfigError for what cannot be built.
    """
    return each_image(buildable(project, tools, options), lambda build: build_one(project, tools, build, options))


def buildable(project: Project, tools: LocalTools, options: BuildOptions) -> tuple[Build, ...]:
    """Return what `require_buildable` returns, with a message if there is nothing to build."""
    builds = require_buildable(project, tools, options)
    if not builds:
        tools.output.skip("building", message="every service uses an image that exists")
    return builds


def require_buildable(
    project: Project, tools: LocalTools, options: BuildOptions, also: Iterable[str] = ()
) -> tuple[Build, ...]:
    """Return what is to be built; raises ConfigError or UsageError before the first build if one of them is impossible.

    `also` are further required variables: the error names all that are not set.
    """
    project.require_deployable()
    builds = planned(project)
    _require_username(project, builds)
    for build in builds:
        _refuse_leak(build)
        _require_dockerfile(project, build)
        require_storable(build, options)
    project.require_all(dict.fromkeys((*also, *secrets(project, builds))))
    for build in builds:
        features.require(project, tools, build)
    return builds


def names(builds: tuple[Build, ...]) -> list[Image]:
    """Return the names that the built images will get."""
    return [build.image for build in builds if build.image]


def _settled(project: Project, build: Build) -> Build:
    settings = project.config.build
    own = {name: value for name, value in build.args if name not in dict(settings.args)}
    listed = {secret.id for secret in build.secrets}
    secrets = tuple(BuildSecret(name, environment=name) for name in settings.secrets if name not in listed)
    return replace(
        build,
        args=(*own.items(), *settings.args),
        secrets=build.secrets + secrets,
        platforms=settings.platform or build.platforms,
    )


def _require_username(project: Project, builds: tuple[Build, ...]) -> None:
    """Refuse to build if the image name lacks the registry's user."""
    if any(image.repository.startswith(f"{PLACEHOLDER_USER}/") for image in names(builds)):
        raise not_set(project.config.secrets_file, [project.config.registry.username_env])


def _refuse_leak(build: Build) -> None:
    """Refuse a secret that a compose file passes as a build argument: it would be readable in the image."""
    for name, value in build.args:
        if value and REDACTED in value:
            message = f"the build argument `{name}` takes its value from a secret"
            raise ConfigError(
                Problem(build.where.path, build.where.line, message),
                hint="list it in `build.secrets`, and use `RUN --mount=type=secret,id=…` in the Dockerfile",
            )


def _require_dockerfile(project: Project, build: Build) -> None:
    path = Path(build.dockerfile)
    if build.dockerfile_inline or not path.is_absolute() or project.tree.kind(path) == "file":
        return
    raise ConfigError(
        Problem(build.where.path, build.where.line, f"there is no Dockerfile at {path}"),
        hint="`dockerfile` is relative to the build context",
    )


def build_one(project: Project, tools: LocalTools, build: Build, options: BuildOptions) -> Built:
    """Build one image from the result of `require_buildable`. Raises BuildFailed, SourceChanged."""
    assert build.image
    tools.output.start("building", build.image.reference)
    features.warn(project, tools.output, build)
    with temporary.folder("built") as folder:
        report = folder / "report.json"
        made = _recipe(project, tools, _as_seen(build), replace(options, report=report))
        step = _with_secrets(project, build, made.step)
        with features.staged(project.tree, build, step, made.configuration) as ready:
            result = tools.shell.run(
                ready, on_line=features.quieter(partial(tools.output.line, "building", subject=build.image.reference))
            )
        if not result:
            raise _reported_failure(tools, build, build.image, result, options)
        unchanged = Background(lambda: require_unchanged(project, tools.shell, build, is_pushed=made.is_pushed), THREAD)
        named = build.image.on(options.platform or build.platforms)
        try:
            built = _reported(project, tools.shell, named, report, options.config if made.is_pushed else None)
        finally:
            # A changed source removes the image's tag, so the image may be missing: report the change, not the
            # missing image.
            unchanged.result()
    tools.output.done("building", build.image.reference, seconds=result.seconds)
    return built


def _recipe(project: Project, tools: LocalTools, build: Build, options: BuildOptions) -> Recipe:
    return recipe(project, build, options, features.program(tools, build))


def build_step(project: Project, tools: LocalTools, build: Build, options: BuildOptions) -> Step:
    """Return the step that builds an image, without the values of its secrets."""
    return _recipe(project, tools, build, options).step


def _as_seen(build: Build) -> Build:
    """Return a build whose folder names make the builder notice every changed file."""
    beside = [Path(build.dockerfile)] if build.dockerfile.startswith("/") else []

    def real(place: str) -> str:
        is_here = place.startswith("/") and Path(place).is_dir()
        return str(context.named(Path(place), beside)) if is_here else place

    contexts = tuple((name, real(place)) for name, place in build.contexts)
    return replace(build, context=real(build.context), contexts=contexts)


def _reported_failure(
    tools: LocalTools, build: Build, image: Image, result: Result, options: BuildOptions
) -> BuildFailed:
    error = _failed(build, result)
    if not options.is_cancelled():
        require_engine(tools.shell)
        require_buildx(tools.shell)
        tools.output.fail("building", error, subject=image.reference)
    return error


def _failed(build: Build, result: Result) -> BuildFailed:
    output = result.tail(LAST_LINES)
    # The output ends with an excerpt of the Dockerfile; what the step itself printed is further up.
    step = "\n".join(failed_step(f"{result.output}\n{result.errors}")[-LONGEST:])
    return BuildFailed(
        f"the build of {', '.join(build.services)} failed ({build.where}):\n{step or output}",
        hint=features.advice(build, output) or _of_base(output) or AGAIN,
        left_behind=UNPUSHED,
    )


def _of_base(output: str) -> str:
    """Return the hint for a base image that its registry refused; empty for any other failure."""
    named = _BASE.search(output)
    return refusal.hint(output, named[1]) if named else ""


def _reported(project: Project, shell: Shell, image: Image, report: Path | None, pushed_with: str | None) -> Built:
    """Return what the build reports as its result: another build may have moved the tag meanwhile.

    `pushed_with` is the docker config of a build that pushes; None if the image stays on this machine.
    """
    digests = _read(report)
    if pushed_with is not None:
        known = digests.get("containerimage.digest") or registry.require(project, shell, image, pushed_with).digest
        return Built(replace(image, digest=known))
    for name in (digests.get("containerimage.config.digest"), digests.get("containerimage.digest"), image.reference):
        if name and (local_image := inspect(shell, name)):
            return Built(replace(image, digest=local_image.id).on([local_image.platform]), local_image)
    raise BuildFailed(
        f"the build of `{image.reference}` succeeded, but Docker on this machine does not have the image",
        hint="check `build.builder`, and whether another program removes images",
    )


def _read(report: Path | None) -> Mapping[str, str]:
    """Read buildx's report; the devcontainer CLI writes none."""
    if report is None or not report.is_file():
        return {}
    fields = json.loads(report.read_bytes() or b"{}")
    return {key: value for key, value in fields.items() if isinstance(value, str)}


def secrets(project: Project, builds: Iterable[Build]) -> tuple[str, ...]:
    """Return the variables that builds take as secrets, except those set only by `.env`."""
    taken = [secret.environment for build in builds for secret in _settled(project, build).secrets]
    in_env_file = _env_file_values(project)
    return tuple(dict.fromkeys(name for name in taken if name and name not in in_env_file))


def _env_file_values(project: Project) -> dict[str, Secret]:
    """Return the values set only in `.env`, which Compose uses if the environment does not set them."""
    return {
        name: Secret(compose.unmarked(value))
        for name, value in project.compose.values
        if name not in project.secrets_file
    }


def _with_secrets(project: Project, build: Build, step: Step) -> Step:
    """Add the values of a build's secrets, which are asked for only now that it runs."""
    in_env_file = _env_file_values(project)
    names = [secret.environment for secret in build.secrets if secret.environment]
    values = ((name, in_env_file.get(name) or project.require(name)) for name in names)
    return replace(step, environment=(*step.environment, *values))
