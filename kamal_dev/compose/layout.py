"""Where everything is in a release, and where the workspace is on a host. Touches neither.

A release holds the compose files, and what travels with them, where they are in the
repository; beside them its own three files.
"""

from __future__ import annotations

from pathlib import Path

from kamal_dev.compose import place

OVERLAY = "kamal-dev.overlay.yaml"
ENV = ".env"
MANIFEST = "manifest.json"
# Compose 2.26 looks for a file of one of these names, here and in every folder above, before it reads the `.env`
# that names the files: a compose.yaml in the home folder of a host would be taken instead.
SOUGHT = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
STOP = "# The files of this project are named in `.env`. This one keeps Compose from looking above.\nservices: {}\n"
# Files of the repository that would stand where a release has one of its own.
ASIDE = "kamal-dev.files"


def in_release(path: Path, repository: Path) -> str:
    """Return where a file of the repository is in a release."""
    inside = place.relative(path, repository)
    return f"{ASIDE}/{inside}" if inside in (OVERLAY, ENV, MANIFEST) else inside


def is_aside(path: Path, repository: Path) -> bool:
    """Whether a file is elsewhere in a release than in the repository."""
    return in_release(path, repository).startswith(f"{ASIDE}/")


def seen_from(directory: Path, path: Path, repository: Path) -> str:
    """Return a travelling file's path as a compose file of the release names it, from the project's directory."""
    seen = place.relative(repository / in_release(path, repository), directory)
    return seen if seen.startswith(".") else f"./{seen}"


def workspace(stack: str) -> str:
    """Return the folder on a host that stands for the parent of the repository; Compose expands `~`."""
    return f"~/.kamal-dev/{stack}/workspace"
