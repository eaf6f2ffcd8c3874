"""The Dockerfile form as a `Build`. Opens no file: the builder checks whether the Dockerfile exists."""

from __future__ import annotations

import posixpath
from pathlib import Path

from kamal_dev.devcontainer.configuration import SERVICE, Devcontainer
from kamal_dev.devcontainer.reader import PropertyReader
from kamal_dev.model import Build


def build(devcontainer: Devcontainer) -> Build | None:
    """Return the build of the Dockerfile form; None for the other forms."""
    if devcontainer.kind != "dockerfile":
        return None
    legacy = "dockerFile" in devcontainer.configuration
    return Build(
        services=(SERVICE,),
        context=str(devcontainer.context),
        dockerfile=str(devcontainer.dockerfile),
        target=devcontainer.target,
        args=devcontainer.build_args,
        cache_from=devcontainer.cache_from,
        options=devcontainer.build_options,
        where=devcontainer.where("dockerFile") if legacy else devcontainer.where("build", "dockerfile"),
    )


def build_paths(reader: PropertyReader, folder: Path) -> tuple[Path, Path]:
    """Return Dockerfile and context, absolute; `folder` is the one of the devcontainer.json.

    The context defaults to the Dockerfile's folder. The older `dockerFile` is used with the older top-level
    `context`, `build.dockerfile` with `build.context`.
    """
    prefix = () if reader.has("dockerFile") else ("build",)
    dockerfile = resolve(folder, reader.text(*prefix, "dockerfile" if prefix else "dockerFile"))
    context = reader.text(*prefix, "context")
    return dockerfile, resolve(folder, context) if context else dockerfile.parent


def resolve(folder: Path, path: str) -> Path:
    """Make a path absolute and free of `..`, without following links."""
    return Path(posixpath.normpath(folder / path))
