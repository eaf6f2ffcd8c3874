"""Build with Features: run the local devcontainer CLI in a folder made for it. Installs no Feature itself."""

from __future__ import annotations

import json
import posixpath
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from kamal_dev.commands import features as commands
from kamal_dev.commands.features import Program
from kamal_dev.errors import ConfigError, CredentialsMissing, EngineError, Problem
from kamal_dev.model import Build, Features, Step, Tree
from kamal_dev.output import Output
from kamal_dev.pattern import pattern
from kamal_dev.pipeline.images import registry
from kamal_dev.pipeline.run.tools import LocalTools
from kamal_dev.project import Project, temporary
from kamal_dev.shell import OnLine

INSTALL = "run `npm install -g @devcontainers/cli` (Node 20 or later)"
# The messages of the devcontainer CLI, and of Node if it cannot reach a registry.
_NOT_FETCHED = pattern(r"Feature '.*' could not be processed|\bE(NOTFOUND|CONN\w+|TIMEDOUT|AI_AGAIN)\b")
GO_ON = "or build without them: `--ignore-features`"


def require(project: Project, tools: LocalTools, build: Build) -> None:
    """Raise ConfigError or EngineError for Features that could not be installed, before anything is started."""
    if build.features is None:
        return
    require_local(project, build.features)
    if not build.dockerfile_inline and not Path(build.dockerfile).is_absolute():
        message = f"Features need a build context on this machine, and this is `{build.context}`"
        raise ConfigError(Problem(build.where.path, build.where.line, message), hint=GO_ON)
    program(tools, build)


def program(tools: LocalTools, build: Build) -> Program | None:
    """Return the local devcontainer CLI; None for a build without Features. Raises EngineError with their names."""
    features = build.features
    if features is None:
        return None
    if tools.devcontainer_cli is None:
        names = ", ".join(f"`{name}`" for name in features.names)
        raise EngineError(
            f"{features.where}: `features` needs the devcontainer CLI, which is not installed: {names}",
            hint=f"{INSTALL}; {GO_ON}",
        )
    return tools.devcontainer_cli


def advice(build: Build, output: str) -> str:
    """Return the hint for a build that failed because a Feature could not be fetched; empty for any other failure."""
    if build.features is None or not _NOT_FETCHED.search(output):
        return ""
    return f"check the Feature's name, the network and the login at its registry; {GO_ON}"


def warn(project: Project, output: Output, build: Build) -> None:
    """Warn about what the build loses because the CLI passes buildx a Dockerfile of its own."""
    path = Path(f"{build.dockerfile}.dockerignore")
    if build.features and project.tree.kind(path) == "file":
        output.warn(f"{build.where}: `{path.name}` is not used with Features: use `.dockerignore`")


def log_in(project: Project, tools: LocalTools, *, wanted: bool = False) -> str:
    """Log in to the registry if `wanted`, or if a Feature is in the registry of the image.

    Public Features need no login, so without a credential they are fetched anonymously. Returns the docker config
    folder to build with; empty without a login.
    """
    if wanted:
        return registry.log_in(project, tools)
    image = project.image(project.main)
    beside = f"{image.server}/{image.repository.rpartition('/')[0]}".rstrip("/") + "/"
    if not project.features or not any(name.startswith(beside) for name in project.features.names):
        return ""
    with suppress(CredentialsMissing):
        return registry.log_in(project, tools)
    return ""


@contextmanager
def staged(tree: Tree, build: Build, step: Step, configuration: Mapping[str, Any]) -> Iterator[Step]:
    """Yield the step ready to run; with Features, in a copy of the user's folder that has this devcontainer.json.

    The CLI takes local Features from the folder of devcontainer.json and writes there, so it gets its own folder with
    links to the user's files.
    """
    if build.features is None:
        with _without_remains(step) as ready:
            yield ready
        return
    with temporary.folder("features") as folder:
        scratch = folder / commands.OWN / "tmp"
        for path in (scratch, folder / commands.CONTEXT):
            path.mkdir(parents=True)
        if commands.has_own_dockerfile(build):
            text = build.dockerfile_inline or tree.read(Path(build.dockerfile)).decode(errors="surrogateescape")
            made = commands.dockerfile(build, text).encode(errors="surrogateescape")
            (folder / commands.DOCKERFILE).write_bytes(made)
        _link(tree, build.features, folder)
        file = folder / commands.file_path(build.features)
        file.write_text(json.dumps(configuration, indent=2), encoding="utf-8")
        if pinned := lockfile(tree, build.features):
            file.with_name(pinned.name).write_bytes(tree.read(pinned))
        yield replace(step, cwd=folder, environment=(*step.environment, ("TMPDIR", str(scratch))))


@contextmanager
def _without_remains(step: Step) -> Iterator[Step]:
    """Delete what buildx leaves of a Dockerfile that it reads from stdin."""
    if step.stdin is None:
        yield step
        return
    with temporary.folder("build") as folder:
        yield replace(step, environment=(*step.environment, ("TMPDIR", str(folder))))


def _link(tree: Tree, features: Features, folder: Path) -> None:
    """Make the folders down to devcontainer.json: local Features are copied, everything else is linked."""
    way = Path(commands.file_path(features)).parts
    own = {way[-1], commands.lockfile(features)}
    real, linked = features.root, folder
    if way[0] != HOME and tree.kind(real / HOME):
        (linked / HOME).symlink_to(real / HOME)
    for part, below in pairwise(way):
        real, linked = real / part, linked / part
        linked.mkdir()
        for name in tree.list(real):
            if name in own or name == below:
                continue
            # The CLI follows links, but does not accept a linked folder as a Feature.
            if tree.kind(real / name / ABOUT) == "file":
                shutil.copytree(real / name, linked / name, symlinks=True)
            else:
                (linked / name).symlink_to(real / name)


def quieter(show: OnLine) -> OnLine:
    """Drop the line of JSON that the devcontainer CLI prints last; its exit code says the same."""

    def one(line: str) -> None:
        if not line.startswith('{"outcome":'):
            show(line)

    return one


HOME = ".devcontainer"


ABOUT = "devcontainer-feature.json"


def require_local(project: Project, features: Features) -> None:
    """Raise ConfigError for a local Feature whose folder is not in the repository."""
    home = features.root / HOME
    problems = []
    for name, path in folders(project.tree, features):
        where = project.devcontainer.where("features", name)
        if not path.is_relative_to(home):
            problems.append(Problem(where.path, where.line, f"the Feature `{name}` is not in {HOME}/"))
        elif project.tree.kind(path / ABOUT) != "file":
            problems.append(Problem(where.path, where.line, f"the Feature `{name}` has no {ABOUT} in {path}"))
    if problems:
        hint = f"a Feature of the repository is a folder in {HOME}/, relative to the folder of devcontainer.json"
        raise ConfigError(problems, hint=hint)


def lockfile(tree: Tree, features: Features) -> Path | None:
    """Return the file that pins the versions of Features; None if there is none."""
    path = features.path.with_name(commands.lockfile(features))
    return path if tree.kind(path) == "file" else None


def folders(tree: Tree, features: Features) -> Iterator[tuple[str, Path]]:
    """Yield the local Features and their folders; links are not followed, as in the devcontainer CLI."""
    for name in features.names:
        if name.startswith((".", "/")):
            yield name, Path(posixpath.normpath(features.path.parent / name))
