"""The road from a `Build` with Features to the devcontainer CLI: the file it reads, its command line. Runs nothing.

What its flags do not take, or refuse, goes on to buildx as `build.options`.
Source: devcontainers/cli.
"""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import replace
from typing import Any

from kamal_dev.commands.buildx import each, inputs
from kamal_dev.model import Build, Features, Secret, Step, familiar
from kamal_dev.values import dataclass

# Beside the user's files in the folder that the CLI is shown; relative to that folder.
OWN = ".kamal-dev"
DOCKERFILE = f"{OWN}/Dockerfile"
CONTEXT = f"{OWN}/context"
NO_CONTEXT = "-"

_FROM = re.compile(r"^(\s*FROM\s+(?:--\S+\s+)*)(\S+)", re.IGNORECASE | re.MULTILINE)
_IMAGE = "docker-image://"
# The CLI asks for a cache inside the image, which each build writes again: the same content would be another
# image, and its containers would be replaced. What comes later on the command line counts.
_NO_INLINE_CACHE = {"BUILDKIT_INLINE_CACHE": "0"}
_WITHOUT_LOCKFILE = (0, 87)  # before that none was written without being asked for


@dataclass(frozen=True)
class Program:
    """Name a devcontainer CLI by the words it is started with, and its version."""

    argv: tuple[str, ...] = ("devcontainer",)
    version: tuple[int, ...] = _WITHOUT_LOCKFILE

    def __str__(self) -> str:
        return f"{' '.join(self.argv)} {'.'.join(map(str, self.version))}"


PROGRAMS = (("devcontainer",), ("npx", "--yes", "--prefer-offline", "@devcontainers/cli"))


def version(argv: tuple[str, ...]) -> Step:
    """Ask a program for its version; npx downloads what it has not, and tries that once."""
    return Step((*argv, "--version"), environment=(("npm_config_fetch_retries", "0"),))


def is_alone(build: Build) -> bool:
    """Whether nothing is built but Features on an image that exists."""
    return build.features is not None and build.context == NO_CONTEXT


def has_own_dockerfile(build: Build) -> bool:
    """Whether the CLI gets a Dockerfile that is made here, in place of the user's."""
    return bool(build.dockerfile_inline or _made(build))


def dockerfile(build: Build, text: str) -> str:
    """Return the user's Dockerfile with the images of other builds as they are called in this version.

    buildx finds these through its build contexts, but the CLI looks images up by name.
    """
    made = _made(build)
    return _FROM.sub(lambda match: match[1] + made.get(familiar(match[2]), match[2]), text)


def _made(build: Build) -> dict[str, str]:
    return {familiar(name): place.removeprefix(_IMAGE) for name, place in build.contexts if place.startswith(_IMAGE)}


def file_path(features: Features) -> str:
    """Return the path of devcontainer.json in the CLI's folder, the same as in the user's."""
    return features.path.relative_to(features.root).as_posix()


def lockfile(features: Features) -> str:
    """Return the name of the file beside devcontainer.json that pins Features."""
    return "devcontainer-lock.json" if not features.path.name.startswith(".") else ".devcontainer-lock.json"


def configuration(
    build: Build,
    *,
    labels: tuple[tuple[str, str], ...] = (),
    progress: str = "",
    builder: str = "",
    cache_from: tuple[str, ...] = (),
    cache_to: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Return the devcontainer.json that makes one image with its Features.

    It has nothing else of the user's file: the CLI writes hooks, mounts and the like
    into the image's label, and what is in both would be applied twice.
    """
    features = build.features
    assert features
    options = (
        "--provenance=false",
        *each("--builder", builder),
        *each("--progress", progress),
        *each("--cache-to", *build.cache_to, *cache_to),
        *each("--label", *(f"{key}={value}" for key, value in labels)),
        *inputs(replace(build, args=tuple(arg for arg in build.args if arg[1] is None))),
    )
    folder = posixpath.dirname(file_path(features))
    section = {
        "dockerfile": posixpath.relpath(DOCKERFILE, folder or ".") if has_own_dockerfile(build) else build.dockerfile,
        "context": posixpath.relpath(CONTEXT, folder or ".") if build.context == "-" else build.context,
        "target": build.target,
        "args": {**_NO_INLINE_CACHE, **{name: value for name, value in build.args if value is not None}},
        "cacheFrom": [*build.cache_from, *cache_from],
        "options": list(options),
    }
    users = {"containerUser": features.container_user, "remoteUser": features.remote_user}
    return {
        "build": {key: value for key, value in section.items() if value},
        **json.loads(features.text),
        **{key: user for key, user in users.items() if user},
    }


def devcontainer(
    build: Build,
    program: Program,
    *,
    platform: tuple[str, ...] = (),
    push: bool = False,
    no_cache: bool = False,
    is_pinned: bool = False,
    config: str = "",
) -> Step:
    """Return the step that makes one image; its working directory is the folder with the CLI's file.

    `platform` overrides that of the build; `config` replaces ~/.docker. Where the
    versions of the Features are pinned, the lockfile is left to the CLI.
    """
    assert build.features and build.image
    environment: tuple[tuple[str, str | Secret], ...] = (("DOCKER_CONFIG", config),) if config else ()
    return Step(
        (
            *(*program.argv, "build", "--workspace-folder", ".", "--config", file_path(build.features)),
            *("--image-name", build.image.reference),
            *(("--no-lockfile",) if program.version >= _WITHOUT_LOCKFILE and not is_pinned else ()),
            *each("--platform", ",".join(platform or build.platforms)),
            *(("--push",) if push else ()),
            *(("--no-cache",) if no_cache else ()),
        ),
        environment=environment,
    )
