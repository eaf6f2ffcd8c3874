"""Make sure that the source did not change between choosing an image's version and the end of its build."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from kamal_dev.commands import docker
from kamal_dev.errors import SourceChanged
from kamal_dev.model import Build, Image
from kamal_dev.pipeline.images.features import folders
from kamal_dev.project import Project
from kamal_dev.project import source as sources
from kamal_dev.shell import Shell
from kamal_dev.shell.local import Local

SHOWN = 5
UNPUSHED = "no image was pushed and no container was changed"


def require_unchanged(project: Project, shell: Shell, build: Build, *, is_pushed: bool) -> None:
    """Raise SourceChanged if a source file of `build` changed after its version was computed.

    The image's tag is removed, so that nothing pushes it later; a tag that the build itself has pushed is reported as
    left behind. Raises GitFailed.
    """
    if not isinstance(shell, Local):
        return
    now = sources.read(project.root, shell, project.environment)
    moved = sources.differences(project.source, now, shell)
    inputs = tuple(_inputs(project, build))
    paths = [path for path in moved if _matters(project, project.source.repository / path, inputs)]
    if not paths:
        return
    assert build.image
    if not is_pushed:
        shell.run(docker.untag(build.image))
    raise _changed(build.image, paths, is_pushed)


def _inputs(project: Project, build: Build) -> Iterator[Path]:
    """Yield the local files and folders that a build reads."""
    named = (build.context, build.dockerfile, *(place for _, place in build.contexts))
    yield from (project.tree.real(Path(name)) for name in named if name.startswith("/"))
    if build.features:
        yield from (project.tree.real(folder) for _, folder in folders(project.tree, build.features))


def _matters(project: Project, path: Path, inputs: tuple[Path, ...]) -> bool:
    """Return whether a change of this file affects the build; a file read by `dev` itself counts as it was read."""
    return any(path.is_relative_to(place) for place in inputs) or project.tree.was_read_late(path)


def _changed(image: Image, paths: list[str], is_pushed: bool) -> SourceChanged:
    shown = ", ".join(f"`{path}`" for path in paths[:SHOWN])
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    pushed = f"`{image.reference}` was pushed with it; the next deploy pushes it again"
    return SourceChanged(
        f"{shown}{more} changed while `{image.reference}` was built, so it would not match its version",
        hint="deploy again; add files that commands and hooks write during a build to .gitignore",
        left_behind=pushed if is_pushed else UNPUSHED,
    )
