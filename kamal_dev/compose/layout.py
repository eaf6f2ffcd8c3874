"""The places of all files in a release, and of the workspace on a host. Does no I/O.

A release holds the compose files and the files sent with them at their places in the repository, and three files of
its own. Files from outside keep their relative places to the compose files, too.
"""

from __future__ import annotations

from pathlib import Path

from kamal_dev.compose import place
from kamal_dev.values import dataclass

OVERLAY = "kamal-dev.overlay.yaml"
ENV = ".env"
MANIFEST = "manifest.json"
NOTIFY = "kamal-dev.notify"
# Compose 2.26 looks for these names, here and in every parent folder, before it reads the `.env` that names the
# files: it would use a compose.yaml in the home folder of a host instead.
SOUGHT = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
STOP = (
    "# The files of this project are listed in `.env`. This one stops Compose from searching parent folders.\n"
    "services: {}\n"
)
# For files of the repository whose place is taken by a file of the release.
ASIDE = "kamal-dev.files"


@dataclass(frozen=True)
class ReleaseLayout:
    """Hold the places of files in a release; its top corresponds to the folder `top`, which contains the repository."""

    repository: Path
    top: Path

    def of_compose(self, path: Path) -> str:
        """Return the place of a compose file, or of a `.env` that Compose reads by default."""
        return place.relative(path, self.top)

    def in_release(self, path: Path) -> str:
        """Return the place of any other file: aside if it is outside, or if the release has a file of its own there."""
        if not self._holds(path):
            return f"{ASIDE}/outside{path.as_posix()}"
        inside = place.relative(path, self.top)
        return f"{ASIDE}/{inside}" if inside in (OVERLAY, ENV, MANIFEST, NOTIFY) else inside

    def converted(self, path: Path) -> str:
        """Return the place of an `env_file` converted from another format: next to the original."""
        return f"{ASIDE}/raw/{place.relative(path, self.top)}" if self._holds(path) else self.in_release(path)

    def is_aside(self, path: Path) -> bool:
        """Return whether a file has another place in the release, relative to the compose files."""
        return self.in_release(path).startswith(f"{ASIDE}/")

    def seen_from(self, directory: Path, path: Path) -> str:
        """Return the path of a sent file as a compose file names it, relative to the project's directory."""
        return self.named(self.in_release(path), directory)

    def named(self, inside: str, directory: Path) -> str:
        """Return a path in the release as a compose file names it, relative to the project's directory."""
        path = place.relative(self.top / inside, directory)
        return path if path.startswith(".") else f"./{path}"

    def _holds(self, path: Path) -> bool:
        return place.within(path, self.repository) is not None


def workspace(stack: str) -> str:
    """Return the folder on a host that represents the parent of the repository; Compose expands `~`."""
    return f"~/.kamal-dev/{stack}/workspace"
