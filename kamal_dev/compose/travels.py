"""The files that services need in addition to the compose files, which are sent with the release.

Builds are sent as images. Source: Compose Specification, services `env_file`, `label_file`, `configs`, `secrets`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field, replace
from pathlib import Path

from kamal_dev.compose import dotenv, place
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Location, Notice
from kamal_dev.syntax.text import decode
from kamal_dev.values import dataclass

PRIVATE = 0o600
RAW = "raw_env_file"
# Processes in a container read a mounted file as any user: the stack's folder, 0700, keeps it private.
READABLE = 0o644


ALONE = "only files in the repository are sent to hosts, unless `--allow-outside` is set"


@dataclass(frozen=True)
class Travel:
    """Hold one file that is sent to the host with a release.

    `path` is absolute and local. `role` is `env_file`, `label_file`, `raw_env_file` (whose `content` was converted),
    `config`, `secret`, `bind`, `security_opt` or `env`, the last for a `.env` that Compose reads by default;
    `services` are those affected by a change of it.
    """

    path: Path
    content: bytes = field(repr=False)
    role: str
    where: Location
    services: tuple[str, ...] = ()
    mode: int = READABLE


@dataclass(frozen=True)
class Needed:
    """Hold the files to send; `problems` are missing files that forbid a deploy."""

    travels: tuple[Travel, ...]
    problems: tuple[Problem, ...]


def read(project: Value, binds: tuple[Bind, ...], reader: ComposeReader, active: frozenset[str]) -> Needed:
    """Return the files that the services need. Raises ComposeError for a missing `env_file`.

    Missing files of services that are not in `active` are not a problem.
    """
    travels: dict[tuple[Path, str], Travel] = {}
    problems: list[Problem] = []
    services = project.at("services")
    for name, service in services.items.items() if services is not None else ():
        complaints: list[Problem] = []
        for key in ("env_file", "label_file"):
            for travel in _listed(name, service, key, reader, must=name in active):
                _add(travels, travel)
        for key in ("configs", "secrets"):
            for definition in _definitions(service, project, key):
                _keep(_defined(name, key, definition, reader), travels, complaints)
        for bind in binds:
            if bind.kind == "file" and bind.service == name:
                _keep(bound(bind, reader), travels, complaints)
        problems += complaints if name in active else []
    return Needed(tuple(travels.values()), tuple(dict.fromkeys(problems)))


def notices(travels: tuple[Travel, ...], reader: ComposeReader) -> Iterator[Notice]:
    """Return notices about files from outside the repository."""
    for path, where in {travel.path: travel.where for travel in travels if not reader.holds(travel.path)}.items():
        text = f"`{place.shown(path, reader.repository)}` is outside the repository and is sent to hosts"
        yield Notice(where, text, is_warning=True)


def unreadable(project: Value, travels: tuple[Travel, ...]) -> Iterator[Notice]:
    """Return files that only their owner may read, although a service runs as another user than on this machine."""
    for travel in travels:
        if travel.role not in ("bind", "secret", "config") or travel.mode & 0o044:
            continue
        for name in travel.services:
            service = project.at("services", name)
            user = service.string("user") if service is not None else ""
            if user.partition(":")[0] not in ("", "0", "root"):
                text = f"only its owner can read this file, on a host the SSH user; `{name}` runs as `{user}`"
                yield Notice(travel.where, text)


def _keep(needed: Travel | Problem, travels: dict[tuple[Path, str], Travel], problems: list[Problem]) -> None:
    if isinstance(needed, Problem):
        problems.append(needed)
    else:
        _add(travels, needed)


def _add(travels: dict[tuple[Path, str], Travel], travel: Travel) -> None:
    known = travels.get((travel.path, travel.role))
    if known is not None:
        travel = replace(known, services=tuple(dict.fromkeys((*known.services, *travel.services))))
    travels[(travel.path, travel.role)] = travel


def _listed(name: str, service: Value, key: str, reader: ComposeReader, *, must: bool) -> Iterator[Travel]:
    listed = service.at(key)
    for item in listed.list if listed is not None else ():
        path = place.absolute(item.base, item.string("path") if item.items else item.text)
        required = item.at("required")
        is_optional = not must or (required is not None and not required.is_on)
        if is_optional and reader.tree.kind(path) != "file":
            continue
        if reader.tree.kind(path) != "file":
            shown = place.shown(path, reader.repository)
            hint = f"create `{shown}`"
            if not reader.has_texts:
                hint += f", or write `path: {shown}` with `required: false` if the service does not need it"
            raise ComposeError(_at(item.where, f"services.{name}.{key}", f"`{shown}`: no such file"), hint=hint)
        content = reader.bytes(path, item.where)
        role = key
        if form := item.string("format"):
            role, content = RAW, _converted(content, form, item, place.shown(path, reader.repository))
        yield Travel(path, content, role, item.where, (name,), PRIVATE)


def _converted(content: bytes, form: str, item: Value, shown: str) -> bytes:
    """Convert an `env_file` so that every Compose reads it with the same result.

    Compose supports `format: raw` from 2.30 on, and a host may have an older version.
    """
    if form != "raw":
        raise ComposeError(_at(item.items["format"].where, "env_file", f"`{form}` is not a format; use `raw`"))
    return dotenv.from_raw(decode(content, shown, ComposeError), shown).encode()


def _definitions(service: Value, project: Value, key: str) -> Iterator[Value]:
    listed = service.at(key)
    for item in listed.list if listed is not None else ():
        definition = project.at(key, item.string("source") if item.items else item.text)
        if definition is not None and definition.at("file") is not None:
            yield definition


def _defined(name: str, key: str, definition: Value, reader: ComposeReader) -> Travel | Problem:
    file = definition.items["file"]
    path = place.absolute(file.base, file.text)
    shown = place.shown(path, reader.repository)
    kind = reader.tree.kind(path)
    if kind != "file":
        wrong = "is not a file" if kind else "does not exist"
        return _at(file.where, key, f"`{shown}` {wrong}, and `{name}` needs it")
    if not reader.may_read(path):
        return _at(file.where, key, f"`{shown}` is outside the repository: {ALONE}")
    content = reader.bytes(path, file.where)
    return Travel(path, content, key.removesuffix("s"), file.where, (name,), reader.tree.mode(path))


def bound(bind: Bind, reader: ComposeReader) -> Travel | Problem:
    """Return the mounted file, or why it cannot be sent."""
    shown = place.shown(bind.source, reader.repository)
    if not reader.may_read(bind.source):
        return _at(bind.where, "volumes", f"`{shown}` is a link out of the repository: {ALONE}")
    content = reader.bytes(bind.source, bind.where)
    # With its local mode: programs refuse keys that others may read, and cannot run files that are not executable.
    mode = reader.tree.mode(bind.source)
    return Travel(bind.source, content, "bind", bind.where, (bind.service,), mode)


def _at(where: Location, key: str, message: str) -> Problem:
    return Problem(where.path, where.line, message, key=key, column=where.column)
