"""Map lines of a generated compose file to the devcontainer.json that they come from.

Nobody has seen the generated file, so messages about it must name the file that people wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from kamal_dev.devcontainer import Devcontainer
from kamal_dev.errors import ComposeError, DevcontainerError, Problem
from kamal_dev.model import Location, Notice
from kamal_dev.syntax.composer import parse
from kamal_dev.syntax.node import Node
from kamal_dev.values import dataclass

_BUILD = {"cache_from": "cacheFrom"}


@dataclass(frozen=True)
class Origin:
    """Hold the places by line; `display` is the generated file's name in messages."""

    display: str
    places: Mapping[int, Location]
    whole: Location

    def notice(self, notice: Notice) -> Notice:
        """Return a notice with its place in devcontainer.json."""
        return replace(notice, where=self._place(notice.where)) if notice.where.path == self.display else notice

    def problem(self, problem: Problem) -> Problem:
        """Return a problem with its place in devcontainer.json."""
        if problem.path != self.display:
            return problem
        place = self._place(Location(problem.path, problem.line))
        return Problem(place.path, place.line, problem.message, column=place.column)

    def error(self, error: ComposeError) -> DevcontainerError:
        """Return an error in the generated file as an error in devcontainer.json."""
        return DevcontainerError(map(self.problem, error.problems), hint=error.hint)

    def _place(self, where: Location) -> Location:
        return self.places.get(where.line, self.whole)


def read(devcontainer: Devcontainer, text: str, display: str) -> Origin:
    """Return the places of `text`, which was generated from `devcontainer`."""
    places: dict[int, Location] = {}
    for root in parse(text, display, ComposeError):
        for node, where in _parts(root, devcontainer):
            places |= {below.line: where for below in node.walk()}
    return Origin(display, places, devcontainer.where())


def _parts(root: Node, devcontainer: Devcontainer) -> Iterator[tuple[Node, Location]]:
    """Yield nodes with their places, outer before inner."""
    yield root, devcontainer.where("runArgs")
    services = root.entry("services")
    for _, service in services[1].entries if services else ():
        for key, value in service.entries:
            pair = (key, value)
            if key.text == "volumes":
                mounted = filter(None, (devcontainer.workspace, *devcontainer.translation.mounts))
                yield from zip(value.items, (mount.where for mount in mounted), strict=True)
            elif key.text == "build":
                yield from _build(pair, devcontainer)
            elif key.text in ("image", "ports"):
                where = devcontainer.where("image" if key.text == "image" else "appPort")
                yield from ((node, where) for node in pair)


def _build(pair: tuple[Node, Node], devcontainer: Devcontainer) -> Iterator[tuple[Node, Location]]:
    is_old = "dockerFile" in devcontainer.configuration
    whole = devcontainer.where("dockerFile" if is_old else "build")
    yield from ((node, whole) for node in pair)
    for key, value in pair[1].entries:
        name = _BUILD.get(key.text, key.text)
        keys = {"dockerfile": ("dockerFile",), "context": ("context",)} if is_old else {}
        where = devcontainer.where(*keys.get(name, ("build", name)))
        yield from ((node, where if where.line else whole) for node in (key, value))
