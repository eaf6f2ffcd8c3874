"""Errors that any Compose would report: keys, types and texts. Reports each place once."""

from __future__ import annotations

from collections.abc import Iterable

from kamal_dev.compose import grammar, schema
from kamal_dev.compose.reading import ComposeFile
from kamal_dev.compose.value import Value
from kamal_dev.errors import Problem


def problems(project: Value, files: Iterable[ComposeFile]) -> tuple[Problem, ...]:
    """Return the problems of a project as written; `files` are the files it was read from."""
    # An anchor is read at each use, but written once.
    all_problems = (*grammar.problems(project), *schema.problems(project, files))
    by_place: dict[tuple[str, int, int], Problem] = {}
    for problem in all_problems:
        by_place.setdefault((problem.path, problem.line, problem.column), problem)
    return tuple(by_place.values())


def first(wrong: tuple[Problem, ...], consequences: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return what is malformed, then the other problems in other lines."""
    places = {(problem.path, problem.line) for problem in wrong if problem.line}
    return (*wrong, *(other for other in consequences if (other.path, other.line) not in places))
