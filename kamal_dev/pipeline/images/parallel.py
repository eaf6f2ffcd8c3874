"""Work on several images at once. An image built from another one waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock, Semaphore
from typing import Any, TypeVar

from kamal_dev.errors import DevError
from kamal_dev.model import Build
from kamal_dev.shell.fanout import Background

AT_ONCE = 4  # builds at once: each takes memory and processors of the builder, which is often this machine
THREAD = "images"
FROM_IMAGE = "docker-image://"

Value = TypeVar("Value")


class BuildRoom:
    """Limit how many images the sources of one deploy build at once, and do equal work once."""

    def __init__(self) -> None:
        self.places = Semaphore(AT_ONCE)
        self._begun: dict[tuple[str, ...], Background[Any]] = {}
        self._guard = Lock()

    def once(self, key: tuple[str, ...], work: Callable[[], Value]) -> Value:
        """Return the result of the work with this key, or raise its error; only the first caller's work runs."""
        with self._guard:
            if key not in self._begun:
                self._begun[key] = Background(work, THREAD)
            begun: Background[Value] = self._begun[key]
        return begun.result()


def each_image(
    builds: tuple[Build, ...], work: Callable[[Build], Value], places: Semaphore | None = None
) -> list[Value]:
    """Do the work for each build, in order; an image built from others starts after them.

    All builds run to their end. Raises the first failure, which lists the others. `places` limits the work if it is
    shared with other builds.
    """
    if len(builds) < 2 and not places:
        return [work(build) for build in builds]
    room = places or Semaphore(AT_ONCE)
    begun: dict[str, Background[Value]] = {}

    def one(build: Build, needed: tuple[Background[Value], ...]) -> Value:
        for other in needed:
            other.result()
        with room:
            return work(build)

    for build in builds:
        needed = tuple(other for name, other in begun.items() if _is_base(name, build))
        begun[str(build.image)] = Background(lambda build=build, needed=needed: one(build, needed), THREAD)  # type: ignore[misc]
    return _results(begun.values())


def _is_base(name: str, build: Build) -> bool:
    return any(place == f"{FROM_IMAGE}{name}" for _, place in build.contexts)


def _results(begun: Iterable[Background[Value]]) -> list[Value]:
    results: list[Value] = []
    failures: list[DevError] = []
    for item in begun:
        try:
            results.append(item.result())
        except DevError as error:
            if error not in failures:
                failures.append(error)
    if failures:
        for other in failures[1:]:
            failures[0].message += f"\nat the same time: {other.message}"
        raise failures[0]
    return results
