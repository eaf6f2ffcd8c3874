"""Turn a `Build` into buildx's command line. Runs nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from kamal_dev.commands.docker import PROGRAM
from kamal_dev.errors import ConfigError, Problem
from kamal_dev.model import Build, BuildSecret, Image, Secret, Step

# Shorter values are too common to be recognized as secrets: `postgres`, `admin`.
_TELLING = 12


def buildx(
    build: Build,
    *,
    image: Image,
    push: bool = False,
    no_cache: bool = False,
    platform: tuple[str, ...] = (),
    progress: str = "",
    builder: str = "",
    cache_from: tuple[str, ...] = (),
    cache_to: tuple[str, ...] = (),
    labels: tuple[tuple[str, str], ...] = (),
    secret_values: Mapping[str, Secret] | None = None,
    metadata_file: Path | None = None,
    config: str = "",
) -> Step:
    """Return the step that builds one image, and pushes it or loads it into the local engine.

    `platform` overrides the one of the build; several cannot be loaded. Caches are added to the build's own, in
    buildx's syntax (`type=registry,ref=…`). `secret_values` holds the values of the build's secrets by variable.
    `metadata_file` receives the digest; `config` replaces ~/.docker. Raises ConfigError for a secret among the build
    arguments. The order of flags is that of devcontainers/cli.
    """
    known = secret_values or {}
    _refuse_leaks(build, known)
    setup = (*each("--builder", builder), *each("--progress", progress), "--provenance=false")
    result = (
        *each("--metadata-file", str(metadata_file or "")),
        *each("--platform", ",".join(platform or build.platforms)),
    )
    output = ("--push" if push else "--load", *each("--cache-to", *build.cache_to, *cache_to))
    cache = ("--no-cache",) if no_cache else each("--cache-from", *build.cache_from, *cache_from)
    name = (*each("-t", image.reference), *each("--label", *(f"{key}={value}" for key, value in labels)))
    words = (*setup, *result, *output, *_file(build), *name, *each("--target", build.target), *cache)
    return Step(
        (PROGRAM, "buildx", "build", *words, *inputs(build), build.context),
        stdin=build.dockerfile_inline.encode() or None,
        environment=_environment(build, known, config),
    )


def _file(build: Build) -> tuple[str, ...]:
    if build.context == "-":
        return ()
    return each("-f", "-" if build.dockerfile_inline else build.dockerfile)


def inputs(build: Build) -> tuple[str, ...]:
    """Return the flags for inputs other than the context; arguments without a value take it from the environment."""
    return (
        *each("--build-arg", *(key if value is None else f"{key}={value}" for key, value in build.args)),
        *each("--build-context", *(f"{key}={place}" for key, place in build.contexts)),
        *each("--secret", *map(_secret, build.secrets)),
        *each("--ssh", *build.ssh),
        *build.options,
    )


def each(flag: str, *values: str) -> tuple[str, ...]:
    """Repeat a flag for every non-empty value."""
    return tuple(word for value in values if value for word in (flag, value))


def _secret(secret: BuildSecret) -> str:
    """Return the source of a secret, as the CSV that buildx reads."""
    source = f"env={secret.environment}" if secret.environment else f"src={secret.file}"
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow((f"id={secret.id}", source))
    return text.getvalue()


def _environment(
    build: Build, secret_values: Mapping[str, Secret], config: str
) -> tuple[tuple[str, str | Secret], ...]:
    names = dict.fromkeys(secret.environment for secret in build.secrets)
    folder: tuple[tuple[str, str | Secret], ...] = (("DOCKER_CONFIG", config),) if config else ()
    return (*folder, *((name, secret_values[name]) for name in names if name in secret_values))


def _refuse_leaks(build: Build, secret_values: Mapping[str, Secret]) -> None:
    """Reject arguments that are secrets: by name if the value comes from the environment, else by value."""
    telling = {value.reveal() for value in secret_values.values() if len(value.reveal()) >= _TELLING}
    problems = [
        Problem(build.where.path, build.where.line, f"build argument `{name}` is a secret and would stay in the image")
        for name, value in build.args
        if (value is None and name in secret_values) or value in telling
    ]
    if problems:
        raise ConfigError(problems, hint="name it under `secrets` and use `RUN --mount=type=secret,id=…`")
