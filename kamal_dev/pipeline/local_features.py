"""The Features that are folders of the repository, and the file that pins others. Reads, and writes nothing."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path

from kamal_dev.commands import features as commands
from kamal_dev.errors import ConfigError, Problem
from kamal_dev.model import Features, Tree
from kamal_dev.project import Project

HOME = ".devcontainer"
ABOUT = "devcontainer-feature.json"


def require_local(project: Project, features: Features) -> None:
    """Raise ConfigError for a Feature that should be a folder of the repository and is none."""
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
    """Return the file that pins the versions of Features; None where there is none."""
    path = features.path.with_name(commands.lockfile(features))
    return path if tree.kind(path) == "file" else None


def folders(tree: Tree, features: Features) -> Iterator[tuple[str, Path]]:
    """Yield the Features that are paths, with their folders: no link is followed, as the devcontainer CLI does it."""
    for name in features.names:
        if name.startswith((".", "/")):
            yield name, Path(posixpath.normpath(features.path.parent / name))
