"""The variables that a project mentions, and which of them are sent to a host. Reads no environment.

Compose takes a variable from the environment first, then from `.env` where it runs (since 2.27.2), then from `.env`
next to the first file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path

from kamal_dev.compose import dotenv, interpolate, place, secret_text
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.stack_variables import NAMES
from kamal_dev.compose.travels import Travel
from kamal_dev.compose.value import Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Location, Notice
from kamal_dev.syntax.text import decode
from kamal_dev.values import dataclass

READS_WORKING_DIRECTORY = (2, 27, 2)

# They describe the machine and its user: the local values are wrong on a host, which has its own.
_MACHINE = {
    *("HOME", "PWD", "OLDPWD", "PATH", "USER", "LOGNAME", "USERNAME", "SHELL", "SHLVL", "HOSTNAME", "TMPDIR", "TEMP"),
    *("TMP", "TERM", "DISPLAY", "WAYLAND_DISPLAY", "SSH_AUTH_SOCK", "SSH_AGENT_PID", "MAIL", "LANG", "EDITOR", "PAGER"),
    *("DBUS_SESSION_BUS_ADDRESS", "GPG_TTY", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG"),
}
_MACHINE_PREFIXES = ("XDG_", "LC_", "SSH_")
_OURS = {"COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES", "COMPOSE_PATH_SEPARATOR", "COMPOSE_ENV_FILES"}


@dataclass(frozen=True)
class Surroundings:
    """Hold what Compose finds around a project.

    `variables` are all that it would know; `files` the `.env` files that it reads; `set_by` names the file that sets
    a variable missing in the environment; `ignored` are variables in a file that this version of Compose does not
    read.
    """

    variables: Mapping[str, str] = field(repr=False)
    files: tuple[Path, ...]
    set_by: Mapping[str, str]
    ignored: Mapping[str, str]

    @property
    def claimed(self) -> dict[str, Location]:
        """The variables of a stack that a `.env` sets, and where."""
        return {name: Location(self.set_by[name]) for name in NAMES if name in self.set_by}


def around(
    directory: Path,
    root: Path,
    reader: ComposeReader,
    environment: Mapping[str, str],
    version: tuple[int, ...],
    own: Mapping[str, str],
) -> Surroundings:
    """Read the `.env` files of a project in `directory` for Compose running in `root`.

    An empty `version` means the newest Compose; `own` are the variables of a stack, unless a `.env` sets them. Text
    given instead of files has its variables resolved, and no `.env`. Raises ComposeError.
    """
    if reader.has_texts:
        return Surroundings({**own, **environment}, (), {}, {})
    named = secret_text.plain(environment.get("COMPOSE_ENV_FILES", ""))
    if named:
        return _named(tuple(place.absolute(root, text) for text in named.split(",")), reader, environment, own)
    is_newer = not version or version >= READS_WORKING_DIRECTORY
    merged: dict[str, str] = {}
    set_by: dict[str, str] = {}
    read: list[Path] = []
    for path in dict.fromkeys([root / ".env", directory / ".env"]):
        if reader.tree.kind(path) == "file" and (is_newer or path.parent == directory):
            values = reader.environment(path, Location(""), {**merged, **environment})
            set_by = {**dict.fromkeys(values, place.shown(path, reader.repository)), **set_by}
            merged = {**values, **merged}
            read.append(path)
    ignored = {} if root / ".env" in read else _ignored(root / ".env", reader)
    return Surroundings({**own, **merged, **environment}, tuple(read), set_by, ignored)


def _named(
    paths: tuple[Path, ...], reader: ComposeReader, environment: Mapping[str, str], own: Mapping[str, str]
) -> Surroundings:
    """Read the files of COMPOSE_ENV_FILES, the last one winning: they replace every `.env`.

    A host does not have that variable, and reads none of them, so the values of mentioned variables are sent.
    """
    merged: dict[str, str] = {}
    set_by: dict[str, str] = {}
    for path in paths:
        values = reader.environment(path, Location("COMPOSE_ENV_FILES"), {**merged, **environment})
        set_by |= dict.fromkeys(values, place.shown(path, reader.repository))
        merged |= values
    return Surroundings({**own, **merged, **environment}, (), set_by, {})


def _ignored(path: Path, reader: ComposeReader) -> dict[str, str]:
    if reader.tree.kind(path) != "file":
        return {}
    shown = place.shown(path, reader.repository)
    try:
        text = reader.tree.read(path).decode("utf-8", "replace")
        return dict.fromkeys(dotenv.parse(text, shown, lambda _: None), shown)
    except (ComposeError, OSError):
        return {}


def mentioned(reader: ComposeReader, project: Value, travels: tuple[Travel, ...]) -> dict[str, Location]:
    """Return every variable that Compose looks up on a host, with the first place that mentions it."""
    places: dict[str, Location] = {}
    for name, where in (*_in_files(reader), *_passed_through(project), *_in_env_files(reader, travels)):
        places.setdefault(name, where)
    return places


def travelling(names: Mapping[str, Location], around: Surroundings) -> dict[str, str]:
    """Return the values to send to a host: all that are set, except those that describe this machine."""
    return {
        name: around.variables[name]
        for name in names
        if name in around.variables and name not in _OURS and (name in around.set_by or not is_of_machine(name))
        if name in around.set_by or name not in NAMES
    }


def is_of_machine(name: str) -> bool:
    """Return whether a variable describes the machine rather than the project."""
    return name in _MACHINE or name.startswith(_MACHINE_PREFIXES)


def notices(names: Mapping[str, Location], around: Surroundings, plain: frozenset[str]) -> Iterator[Notice]:
    """Return notices about variables with another value on a host; `plain` are those mentioned without a default."""
    for name, where in names.items():
        if name in _OURS:
            continue
        if name not in around.set_by and is_of_machine(name):
            yield Notice(where, f"`{name}` describes this machine: a host uses its own value")
        elif name in around.ignored and name not in around.variables:
            file = around.ignored[name]
            yield Notice(
                where, f"`{name}` has no value here: it is set in `{file}`, which Compose reads from 2.27.2 on"
            )
        elif name in plain and name not in around.variables:
            yield Notice(where, f"`{name}` has no value: it is empty, here and on a host")


def not_taken(
    environment: Mapping[str, str], reader: ComposeReader, project: Value, travels: tuple[Travel, ...]
) -> Iterator[Notice]:
    """Return mentioned variables of this machine's environment that are not used; some CI systems set NODE_NAME."""
    named = [name for name in NAMES if name in environment]
    places = mentioned(reader, project, travels) if named else {}
    for name in (name for name in named if name in places):
        yield Notice(places[name], f"`{name}` of this machine's environment is ignored: each stack sets its own")


def plain_names(reader: ComposeReader) -> frozenset[str]:
    """Return the variables that a file mentions without a default.

    Variables that an included project sets for itself are left out.
    """
    return frozenset(
        name
        for file in reader.files.values()
        for root in file.documents
        for node in root.walk()
        if node.kind == "scalar" and "$" in node.text
        for name in interpolate.bare(node.text)
        if name not in reader.set_by_includes
    )


@dataclass(frozen=True)
class Unset:
    """Hold a variable that is set nowhere, and what it prevents: a service cannot start without it."""

    name: str
    problem: Problem


def unset(project: Value, active: frozenset[str], around: Surroundings, reader: ComposeReader) -> Iterator[Unset]:
    """Yield the variables of secrets and configs of `active` services that are set nowhere.

    Compose accepts an empty value. What a host sets itself is unknown.
    """
    for key in ("secrets", "configs"):
        listed = project.at(key)
        for source, item in listed.items.items() if listed is not None else ():
            named = item.at("environment")
            if named is None or not named.text or named.text in _OURS or is_of_machine(named.text):
                continue
            users = _users(project, key, source, active)
            if users and named.text not in around.variables and named.text not in reader.set_by_includes:
                needed = " and ".join(f"`{name}`" for name in users)
                message = f"`{named.text}` is not set anywhere, and {needed} need{'s' if len(users) == 1 else ''} it"
                where = named.where
                problem = Problem(where.path, where.line, message, key=f"{key}.{source}", column=where.column)
                yield Unset(named.text, problem)


def _users(project: Value, key: str, source: str, active: frozenset[str]) -> list[str]:
    """Return the active services that use a secret or config."""
    services = project.at("services")
    entries = services.items if services is not None else {}
    taken = {name: service.at(key) for name, service in entries.items() if name in active}
    return [
        name
        for name, listed in taken.items()
        if listed is not None
        if source in [item.string("source") if item.items else item.text for item in listed.list]
    ]


def _in_files(reader: ComposeReader) -> Iterator[tuple[str, Location]]:
    for file in reader.files.values():
        for root in file.documents:
            for node in root.walk():
                if node.kind == "scalar" and "$" in node.text:
                    where = Location(file.display, node.line, node.column)
                    yield from ((name, where) for name in interpolate.names(node.text))


def _passed_through(project: Value) -> Iterator[tuple[str, Location]]:
    services = project.at("services")
    for service in services.items.values() if services is not None else ():
        environment = service.at("environment")
        for name, value in environment.items.items() if environment is not None else ():
            if value.data is None:
                yield name, value.where
    for key in ("secrets", "configs"):
        listed = project.at(key)
        for item in listed.items.values() if listed is not None else ():
            name = item.string("environment")
            if name:
                yield name, item.where


def _in_env_files(reader: ComposeReader, travels: tuple[Travel, ...]) -> Iterator[tuple[str, Location]]:
    texts = [(travel.path, travel.content) for travel in travels if travel.role.endswith(("env_file", "label_file"))]
    texts += [(path, reader.bytes(path, where)) for path, where in reader.env_files.items() if where.path]
    for path, content in texts:
        shown = place.shown(path, reader.repository)
        for name in dotenv.mentioned(decode(content, shown, ComposeError), shown):
            yield name, Location(shown)
