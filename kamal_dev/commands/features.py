"""Turn a `Build` with Features into a run of the devcontainer CLI: its file and command line. Runs nothing.

Options that its flags do not accept are passed to buildx as `build.options`. Source: devcontainers/cli.
"""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import replace
from typing import Any

from kamal_dev.commands.buildx import each, inputs
from kamal_dev.model import Build, Features, Secret, Step, familiar
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

# Next to the user's files in the folder for the CLI; relative to that folder.
OWN = ".kamal-dev"
DOCKERFILE = f"{OWN}/Dockerfile"
CONTEXT = f"{OWN}/context"
NO_CONTEXT = "-"

_FROM = pattern(r"^(\s*FROM\s+(?:--\S+\s+)*)(\S+)", re.IGNORECASE | re.MULTILINE)
_IMAGE = "docker-image://"
# The CLI requests a cache inside the image, which every build writes again: the same content would be a new image,
# and its containers would be replaced. The last value on the command line counts.
_NO_INLINE_CACHE = {"BUILDKIT_INLINE_CACHE": "0"}
_WITHOUT_LOCKFILE = (0, 87)  # before this version, no lockfile was written without a flag


@dataclass(frozen=True)
class Program:
    """Name a devcontainer CLI by its command and version."""

    argv: tuple[str, ...] = ("devcontainer",)
    version: tuple[int, ...] = _WITHOUT_LOCKFILE

    def __str__(self) -> str:
        return f"{' '.join(self.argv)} {'.'.join(map(str, self.version))}"


PROGRAMS = (("devcontainer",), ("npx", "--yes", "--prefer-offline", "@devcontainers/cli"))


def version(argv: tuple[str, ...]) -> Step:
    """Ask a program for its version; npx downloads the package if necessary, with one attempt."""
    return Step((*argv, "--version"), environment=(("npm_config_fetch_retries", "0"),))


def is_alone(build: Build) -> bool:
    """Return whether only Features are built, on an existing image."""
    return build.features is not None and build.context == NO_CONTEXT


def has_own_dockerfile(build: Build) -> bool:
    """Return whether the CLI gets a generated Dockerfile instead of the user's."""
    return bool(build.dockerfile_inline or _made(build))


def dockerfile(build: Build, text: str) -> str:
    """Return the user's Dockerfile with the images of other builds replaced by their names in this version.

    buildx would find these through its build contexts, but the CLI looks images up by name.
    """
    made = _made(build)
    return _FROM.sub(lambda match: match[1] + made.get(familiar(match[2]), match[2]), text)


def _made(build: Build) -> dict[str, str]:
    return {familiar(name): place.removeprefix(_IMAGE) for name, place in build.contexts if place.startswith(_IMAGE)}


def file_path(features: Features) -> str:
    """Return the path of devcontainer.json in the CLI's folder, the same as in the user's."""
    return features.path.relative_to(features.root).as_posix()


def lockfile(features: Features) -> str:
    """Return the name of the file next to devcontainer.json that pins Features."""
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
    """Return the devcontainer.json for building one image with its Features.

    It contains nothing else of the user's file: the CLI writes hooks, mounts and the like into the image's label, so
    they would be applied twice.
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
    """Return the step that builds one image; its working directory is the folder with the CLI's file.

    `platform` overrides the one of the build; `config` replaces ~/.docker. If the versions of the Features are
    pinned, the CLI handles the lockfile.
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
