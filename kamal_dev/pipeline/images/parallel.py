"""Work on several images at once. An image built from another one waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Semaphore
from typing import TypeVar

from kamal_dev.errors import DevError
from kamal_dev.model import Build
from kamal_dev.shell.fanout import Background

AT_ONCE = 4  # builds at once: each takes memory and processors of the builder, which is often this machine
THREAD = "images"
FROM_IMAGE = "docker-image://"

Value = TypeVar("Value")


def each_image(builds: tuple[Build, ...], work: Callable[[Build], Value]) -> list[Value]:
    """Do the work for each build, in order; an image built from others starts after them.

    All builds run to their end. Raises the first failure, which lists the others.
    """
    if len(builds) < 2:
        return [work(build) for build in builds]
    room = Semaphore(AT_ONCE)
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
