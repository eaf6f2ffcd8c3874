"""Which files of a repository are never sent to a host: secrets, and private files of `dev`. Reads nothing."""

from __future__ import annotations

from itertools import pairwise
from pathlib import PurePath

from kamal_dev.values import dataclass

FOLDER, PREFIX = ".kamal", "secrets"


@dataclass(frozen=True)
class Withheld:
    """Hold the files that are never sent: `paths`, relative to the repository, and `.kamal/secrets*` in any folder."""

    paths: tuple[PurePath, ...] = ()

    def hides(self, name: str) -> bool:
        """Return whether a path in the repository is one of them, or below one."""
        path = PurePath(name)
        is_copy = any(one == FOLDER and other.startswith(PREFIX) for one, other in pairwise(path.parts))
        return is_copy or any(path.is_relative_to(own) for own in self.paths)

    @property
    def rules(self) -> str:
        """All of them, as git ignore rules."""
        named = (f"/{_escaped(path.as_posix())}" for path in self.paths)
        return "".join(f"{rule}\n" for rule in (*named, f"**/{FOLDER}/{PREFIX}*"))

    @property
    def patterns(self) -> tuple[str, ...]:
        """All of them and their content, as git path patterns."""
        named = (f":(literal){path.as_posix()}" for path in self.paths)
        copies = f":(glob)**/{FOLDER}/{PREFIX}*"
        return (*named, copies, f"{copies}/**")

    @property
    def inside(self) -> Withheld:
        """Return the files that are never sent of a repository inside this one."""
        return Withheld()


def _escaped(path: str) -> str:
    """Return a path as a pattern that matches only that path."""
    return "".join(f"\\{letter}" if letter in "*?[\\ #!" else letter for letter in path)
