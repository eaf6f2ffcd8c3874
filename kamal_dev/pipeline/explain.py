"""The table of `dev render --explain`: every key of the user's files, what became of it, and the notices about it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from kamal_dev.compose.explanations import LEFT
from kamal_dev.compose.explanations import explain as explain_compose
from kamal_dev.errors import Problem
from kamal_dev.model import Explanation, Location, Notice, Release
from kamal_dev.project import Project
from kamal_dev.values import dataclass

HEAD = ("WHERE", "KEY", "OUTCOME", "WHAT")
CHANGED = "not as written"
WARNED = "with a warning"
WRONG = "an error"
OTHER_ENGINE = "left to Swarm"
LOCAL = "on this machine only"


@dataclass(frozen=True)
class Row:
    """Hold one key and the notices about it; a notice without a matching key is a row of its own."""

    where: Location
    key: str
    outcome: str
    text: str
    notices: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the row for `--json`."""
        shown = {"where": str(self.where), "key": self.key, "outcome": self.outcome, "text": self.text}
        return {**shown, "notices": list(self.notices)}

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the row, for people."""
        return (str(self.where), self.key, self.outcome, self.text)


def explain(project: Project, release: Release) -> tuple[Row, ...]:
    """Return the rows of devcontainer.json, of the compose files and of the overlay, in the order of the files."""
    explanations = [*project.devcontainer.explanations]
    if project.devcontainer.kind == "compose":
        explanations += explain_compose(project.compose, release)
    if not project.engine.is_swarm:
        return _with_notices([*explanations, *_local(project)], project.notices)
    explanations = [replace(item, outcome=OTHER_ENGINE) if item.outcome == LEFT else item for item in explanations]
    return _with_notices([*explanations, *_local(project)], project.notices, project.problems)


def explain_as_far(project: Project, problems: Iterable[Problem]) -> tuple[Row, ...]:
    """Return the rows that exist without a release: those of devcontainer.json, and the errors."""
    rows = _with_notices([*project.devcontainer.explanations, *_local(project)], project.devcontainer.notices)
    all_problems = dict.fromkeys((*project.devcontainer.problems, *problems))
    wrong = (Row(Location(item.path, item.line, item.column), item.key, WRONG, item.message) for item in all_problems)
    return (*rows, *wrong)


def _local(project: Project) -> Iterator[Explanation]:
    """Yield what is only configured on this machine."""
    for key, where in project.config.where.items():
        if where.path == project.config.local_path:
            yield Explanation(key, where, LOCAL, f"over {project.config.path}")


def _with_notices(
    explanations: list[Explanation], notices: Iterable[Notice], problems: Iterable[Problem] = ()
) -> tuple[Row, ...]:
    """Add each notice and problem to the last key before it in the same file."""
    rows = [Row(item.where, item.key, item.outcome, item.text) for item in explanations]
    starts: dict[str, list[tuple[int, int, int]]] = {}
    for index, row in enumerate(rows):
        starts.setdefault(row.where.path, []).append((row.where.line, row.where.column, index))
    for places in starts.values():
        places.sort()

    def add(where: Location, change: Callable[[Row], Row], otherwise: Row) -> None:
        places = starts.get(where.path, [])
        before = bisect_right(places, (where.line, where.column, len(rows)))
        if before:
            index = places[before - 1][2]
            rows[index] = change(rows[index])
        else:
            rows.append(otherwise)

    for notice in notices:
        alone = Row(notice.where, "", CHANGED, notice.message, (str(notice),))
        add(notice.where, partial(_noticed, notice=notice), alone)
    for item in problems:
        where = Location(item.path, item.line, item.column)
        add(where, partial(_wrong, problem=item), Row(where, item.key, WRONG, item.message))
    return tuple(rows)


def _wrong(row: Row, problem: Problem) -> Row:
    return replace(
        row, outcome=WRONG, text=f"{row.text}; {problem.message}" if row.outcome == WRONG else problem.message
    )


def _noticed(row: Row, notice: Notice) -> Row:
    notices = (*row.notices, str(notice))
    if row.outcome == "ignored":
        return replace(row, notices=notices)
    message = notice.message.removeprefix(f"{row.key}: ")
    text = message if not row.notices else f"{row.text}; {message}"
    outcome = WARNED if notice.is_warning and (not row.notices or row.outcome == WARNED) else CHANGED
    return replace(row, outcome=outcome, text=text, notices=notices)
