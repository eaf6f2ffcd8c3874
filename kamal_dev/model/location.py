"""Places in files that people write, and messages about them."""

from __future__ import annotations

from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Location:
    """Point to a place in the user's files; `line` and `column` from 1."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


NOWHERE = Location("")


@dataclass(frozen=True)
class Notice:
    """Tell the user once what is ignored, and why; or, as a warning, what a setting entails."""

    where: Location
    message: str
    is_warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class Explanation:
    """Hold what became of one key of the user's files, or why nothing did, in `text`.

    `outcome` is one of `applied`, `rewritten`, `built`, `sent`, `mapped`, `left to Compose`, and `ignored`, for which
    there is also a notice.
    """

    key: str
    where: Location
    outcome: str
    text: str
