"""Where everything is in a release, and where the workspace is on a host. Touches neither.

A release holds the compose files, and what travels with them, where they are in the
repository; beside them its own three files. Of what is outside, compose files keep their
place too, so that what they name by relative paths is where they look for it.
"""

from __future__ import annotations

from pathlib import Path

from kamal_dev.compose import place
from kamal_dev.values import dataclass

OVERLAY = "kamal-dev.overlay.yaml"
ENV = ".env"
MANIFEST = "manifest.json"
NOTIFY = "kamal-dev.notify"
# Compose 2.26 looks for a file of one of these names, here and in every folder above, before it reads the `.env`
# that names the files: a compose.yaml in the home folder of a host would be taken instead.
SOUGHT = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
STOP = (
    "# The files of this project are listed in `.env`. This one stops Compose from searching parent folders.\n"
    "services: {}\n"
)
# Files of the repository that would stand where a release has one of its own.
ASIDE = "kamal-dev.files"


@dataclass(frozen=True)
class ReleaseLayout:
    """Say where files are in a release whose top represents the folder `top`, which holds the repository."""

    repository: Path
    top: Path

    def of_compose(self, path: Path) -> str:
        """Return where a compose file is, or a `.env` that Compose finds by default."""
        return place.relative(path, self.top)

    def in_release(self, path: Path) -> str:
        """Return where any other file is: aside, where it is outside or one of the release's own has its place."""
        if not self._holds(path):
            return f"{ASIDE}/outside{path.as_posix()}"
        inside = place.relative(path, self.top)
        return f"{ASIDE}/{inside}" if inside in (OVERLAY, ENV, MANIFEST, NOTIFY) else inside

    def converted(self, path: Path) -> str:
        """Return where an `env_file` is that was converted from another format: beside the one as it is written."""
        return f"{ASIDE}/raw/{place.relative(path, self.top)}" if self._holds(path) else self.in_release(path)

    def is_aside(self, path: Path) -> bool:
        """Whether a file is elsewhere in a release than it is here, seen from the compose files."""
        return self.in_release(path).startswith(f"{ASIDE}/")

    def seen_from(self, directory: Path, path: Path) -> str:
        """Return a travelling file's path as a compose file of the release names it, from the project's directory."""
        return self.named(self.in_release(path), directory)

    def named(self, inside: str, directory: Path) -> str:
        """Return a path in the release as a compose file names it, from the project's directory."""
        path = place.relative(self.top / inside, directory)
        return path if path.startswith(".") else f"./{path}"

    def _holds(self, path: Path) -> bool:
        return place.within(path, self.repository) is not None


def workspace(stack: str) -> str:
    """Return the folder on a host that represents the parent of the repository; Compose expands `~`."""
    return f"~/.kamal-dev/{stack}/workspace"
