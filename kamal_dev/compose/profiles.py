"""The seccomp profiles that services name: Compose reads these files where it runs, so they are sent.

Their paths are relative to the project's directory, also in an extended or included file. Source: Compose
Specification, services `security_opt`; docker/compose, `parseSecurityOpts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from kamal_dev.compose import interpolate, place
from kamal_dev.compose.layout import ReleaseLayout
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.travels import ALONE, Travel
from kamal_dev.compose.value import Value
from kamal_dev.devcontainer.workspace_folder import seccomp_profile
from kamal_dev.errors import Problem
from kamal_dev.model import Location, Notice
from kamal_dev.values import dataclass

KEY = "security_opt"


@dataclass(frozen=True)
class Profiles:
    """Hold the profiles to send, those that cannot be sent, and those of the host."""

    travels: tuple[Travel, ...]
    problems: tuple[Problem, ...]
    notices: tuple[Notice, ...]


def of_services(
    services: Mapping[str, Value], directory: Path, reader: ComposeReader, active: frozenset[str]
) -> Profiles:
    """Return the profiles of services; missing profiles of inactive services are not a problem."""
    by_service = {name: of_options(name, _written(service), directory, reader) for name, service in services.items()}
    merged: dict[Path, Travel] = {}
    for travel in (travel for profiles in by_service.values() for travel in profiles.travels):
        known = merged.get(travel.path)
        users = (*(known.services if known else ()), *travel.services)
        merged[travel.path] = replace(travel, services=tuple(dict.fromkeys(users)))
    problems = [problem for name, profiles in by_service.items() if name in active for problem in profiles.problems]
    notices = [notice for profiles in by_service.values() for notice in profiles.notices]
    return Profiles(tuple(merged.values()), tuple(problems), tuple(notices))


def of_options(
    service: str, options: Iterable[tuple[str, Location]], directory: Path, reader: ComposeReader
) -> Profiles:
    """Return the profiles in the options of one service."""
    items = tuple(_read(service, options, directory, reader))
    return Profiles(
        tuple(item for item in items if isinstance(item, Travel)),
        tuple(item for item in items if isinstance(item, Problem)),
        tuple(item for item in items if isinstance(item, Notice)),
    )


def _read(
    service: str, options: Iterable[tuple[str, Location]], directory: Path, reader: ComposeReader
) -> Iterator[Travel | Problem | Notice]:
    for option, where in options:
        profile = seccomp_profile(option)
        path = place.absolute(directory, profile)
        shown = place.shown(path, reader.repository)
        if not profile:
            continue
        if profile.startswith("/") and place.within(path, reader.repository) is None:
            yield Notice(where, f"`{profile}` is not in the repository: the file of that name on the host is used")
        elif not reader.may_read(path):
            yield _problem(where, f"`{shown}` is outside the repository: {ALONE}")
        elif reader.tree.kind(path) != "file":
            yield _problem(where, f"`{shown}` does not exist, and `{service}` needs it")
        else:
            yield Travel(path, reader.bytes(path, where), KEY, where, (service,))


def _written(service: Value) -> list[tuple[str, Location]]:
    listed = service.at(KEY)
    return [(item.text, item.where) for item in (listed.list if listed is not None else [])]


def moved(service: Value, places: ReleaseLayout, directory: Path) -> list[str]:
    """Return all security options of a service if a profile has another path in the release; else nothing."""
    listed = service.at(KEY)
    items = listed.list if listed is not None else []
    paths = [_in_release(item.text, item.raw, places, directory) for item in items]
    return paths if paths != [item.raw for item in items] else []


def in_release(option: str, places: ReleaseLayout, directory: Path) -> str:
    """Return an option of a devcontainer.json in the form for a compose file of the release."""
    return _in_release(option, interpolate.escape(option), places, directory)


def _in_release(option: str, raw: str, places: ReleaseLayout, directory: Path) -> str:
    profile = seccomp_profile(option)
    path = place.absolute(directory, profile)
    is_own = profile.startswith("/") and place.within(path, places.repository) is None
    if not profile or is_own or not (profile.startswith("/") or places.is_aside(path)):
        return raw
    return interpolate.escape(f"seccomp={places.seen_from(directory, path)}")


def _problem(where: Location, message: str) -> Problem:
    return Problem(where.path, where.line, message, key=KEY, column=where.column)
