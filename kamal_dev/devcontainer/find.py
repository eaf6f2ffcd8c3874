"""Where a devcontainer.json can be, and which compose files it uses by default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from kamal_dev.devcontainer.configuration import Devcontainer
from kamal_dev.model import Tree

FOLDER = ".devcontainer"
FILE = "devcontainer.json"
HIDDEN = ".devcontainer.json"


def find(tree: Tree, root: Path) -> tuple[Path, ...]:
    """Return every devcontainer.json of a repository, in the order of the specification.

    The last place, one level of named folders, may have several: the user chooses.
    """
    folder = root / FOLDER
    named = [folder / name / FILE for name in tree.list(folder)]
    return tuple(path for path in (*first_places(root), *named) if tree.kind(path) == "file")


def first_places(root: Path) -> tuple[Path, ...]:
    """Return the places where most repositories have it."""
    return (root / FOLDER / FILE, root / HIDDEN)


def is_default(path: Path, root: Path) -> bool:
    """Return whether a file is used without being named, even if there are others."""
    return path in (root / FOLDER / FILE, root / HIDDEN)


def compose_files(devcontainer: Devcontainer, *, tree: Tree, environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the compose files, absolute; for an empty `dockerComposeFile` list, the default files.

    These are `COMPOSE_FILE` of the environment, else of `.env`, else `docker-compose.yml` and its override, all
    relative to the root.
    """
    if devcontainer.docker_compose_files or devcontainer.kind != "compose":
        return devcontainer.docker_compose_files
    root = devcontainer.root
    if named := environment.get("COMPOSE_FILE") or _from_dotenv(tree, root / ".env"):
        return tuple(root / name for name in named.split(":"))
    override = root / "docker-compose.override.yml"
    first = root / "docker-compose.yml"
    return (first, override) if tree.kind(override) == "file" else (first,)


def _from_dotenv(tree: Tree, path: Path) -> str:
    if tree.kind(path) != "file":
        return ""
    match = re.search(r"^COMPOSE_FILE=(.+)$", tree.read(path).decode("utf-8", "replace"), re.MULTILINE)
    return match[1].strip() if match else ""
