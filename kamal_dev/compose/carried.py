"""Everything that services take from this machine and that is sent to a host with the compose files. Copies nothing."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path

from kamal_dev.compose import binds, layout, place, profiles, travels, variables
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.travels import Travel
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Location, Notice
from kamal_dev.syntax.text import decode
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Carried:
    """Hold what is mounted, which files are sent, and the notices about both.

    `own_env` is the `.env` at the top of the repository if Compose reads it: it becomes part of the release's own.
    `problems` forbid a deploy, not reading.
    """

    binds: tuple[Bind, ...]
    travels: tuple[Travel, ...]
    own_env: str = field(repr=False)
    notices: tuple[Notice, ...]
    problems: tuple[Problem, ...]


def read(
    model: Value, reader: ComposeReader, around: variables.Surroundings, directory: Path, active: frozenset[str]
) -> Carried:
    """Return what the services need; missing files of inactive services are not a problem. Raises ComposeError."""
    bound, notices = binds.read(
        model, reader.tree, reader.repository, allow_outside=reader.allow_outside, personal=reader.personal
    )
    needed = travels.read(model, bound, reader, active)
    services = model.at("services")
    named = profiles.of_services(services.items if services is not None else {}, directory, reader, active)
    env_files, own = _env_files(reader, around)
    all_travels = (*needed.travels, *named.travels, *env_files)
    all_notices = (
        *travels.notices(all_travels, reader),
        *travels.unreadable(model, all_travels),
        *notices,
        *named.notices,
    )
    return Carried(bound, all_travels, own, all_notices, (*needed.problems, *named.problems))


def _env_files(reader: ComposeReader, around: variables.Surroundings) -> tuple[tuple[Travel, ...], str]:
    """Return the `.env` files that Compose reads by default, and the text of the one at the top."""
    places = {path: Location(place.shown(path, reader.repository)) for path in around.files}
    places |= {path: where for path, where in reader.env_files.items() if where.path}
    top = reader.repository / layout.ENV
    text = decode(reader.bytes(top, places[top]), layout.ENV, ComposeError) if top in places else ""
    files = [
        Travel(path, reader.bytes(path, where), "env", where, mode=travels.PRIVATE)
        for path, where in places.items()
        if path != top
    ]
    return tuple(files), text
