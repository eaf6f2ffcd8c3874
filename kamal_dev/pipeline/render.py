"""The story of `dev render`: write the files of a release as text, for one stack or for all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from kamal_dev.commands import features
from kamal_dev.compose import layout
from kamal_dev.compose.overlay import HEADER
from kamal_dev.errors import UsageError
from kamal_dev.model import Build, Image, Release, stack_name
from kamal_dev.model.stack_engine import COMPOSE, StackEngine
from kamal_dev.pipeline.explain import Row, explain
from kamal_dev.pipeline.hosts.rendering import render_release
from kamal_dev.pipeline.images.building import planned
from kamal_dev.pipeline.images.recipe import recipe
from kamal_dev.pipeline.run.run import Run
from kamal_dev.project import Project
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Rendering:
    """Hold the result of `dev render`; `paths` are relative to the output folder.

    `builds` are the builds in the files; `features` is what the devcontainer CLI runs instead of one of them, or for
    a plain image.
    """

    project: Project
    release: Release
    builds: tuple[dict[str, Any], ...]
    features: tuple[dict[str, Any], ...] = ()
    rows: tuple[Row, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """The files of the release, sorted."""
        return tuple(sorted(file.path for file in self.release.files))

    def as_json(self) -> dict[str, Any]:
        """Return the output of `--json`."""
        explained = {"explanations": [row.as_json() for row in self.rows]} if self.rows else {}
        return {
            "devcontainer": self.project.devcontainer.configuration,
            "builds": list(self.builds),
            "features": list(self.features),
            "services": {service.name: _image(service, self.release) for service in self.project.compose.services},
            "version": str(self.project.version),
            "stack": self.release.stack,
            "release": self.release.id,
            "files": list(self.paths),
            "notices": [str(notice) for notice in self.project.notices],
            "problems": [str(problem) for problem in self.project.problems],
            **explained,
        }


def render(run: Run, folder: Path | None, *, explained: bool = False, engine: StackEngine = COMPOSE) -> Rendering:
    """Write exactly the files of the first stack's release to `folder`, with secrets masked.

    If it is `explained`, the table contains the notices, so they are not printed. The release is one for `engine`.
    Raises UsageError if the folder has other content or cannot be written.
    """
    project = replace(run.project, engine=engine)
    rendered = render_release(project, stack_name(project.config.service, 1, project.config.naming), mask=True)
    if folder:
        _write(folder, rendered)
    for notice in () if explained else project.notices:
        run.output.warn(str(notice), category="config")
    for problem in project.problems:
        run.output.warn(f"{problem}: a deploy would fail", category="config")
    wanted = planned(project)
    builds = tuple(_build(project, build) for build in wanted if not features.is_alone(build))
    featured = tuple(_featured(project, build) for build in wanted if build.features)
    return Rendering(project, rendered, builds, featured, explain(project, rendered) if explained else ())


def _build(project: Project, build: Build) -> dict[str, Any]:
    """Describe the builds in the files."""
    return {**_made(build), "argv": list(recipe(project, build).plain.argv)}


def _featured(project: Project, build: Build) -> dict[str, Any]:
    """Describe what runs instead of a build, or for a plain image, to install Features."""
    made = recipe(project, build)
    argv = list(made.featured.argv) if made.featured else []
    own = {"dockerfile": features.dockerfile(build, build.dockerfile_inline)} if build.dockerfile_inline else {}
    return {**_made(build), "argv": argv, "configuration": made.configuration, **own}


def _made(build: Build) -> dict[str, Any]:
    return {"services": list(build.services), "image": str(build.image)}


def _write(folder: Path, rendered: Release) -> None:
    try:
        if folder.is_dir() and any(folder.iterdir()) and not _is_release(folder):
            raise UsageError(f"{folder} contains files that are not a release", hint="choose an empty folder")
        _write_files(folder, rendered)
    except OSError as error:
        message = f"{error.filename or folder} cannot be written: {error.strerror}"
        raise UsageError(message, hint="choose a folder with write access") from error


def _is_release(folder: Path) -> bool:
    """Return whether `dev render` wrote it: other programs have a `manifest.json`, too."""
    try:
        about = json.loads((folder / layout.MANIFEST).read_text(encoding="utf-8"))
        overlay = (folder / layout.OVERLAY).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and {"stack", "digest"} <= about.keys() and overlay.startswith(HEADER)


def _write_files(folder: Path, rendered: Release) -> None:
    for file in rendered.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)


def _image(service: Any, rendered: Release) -> dict[str, Any]:
    built: Image | None = dict(rendered.images).get(service.name)
    return {"image": str(built) if built else service.image, "built": built is not None}
