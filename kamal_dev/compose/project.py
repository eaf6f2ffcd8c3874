"""A compose project, read whole: services, builds, files that travel, variables. Renders nothing."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from kamal_dev.compose import (
    binds,
    builds,
    consistency,
    document,
    layout,
    malformed,
    node,
    place,
    profiles,
    service,
    travels,
    variables,
)
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.build_section import Ground
from kamal_dev.compose.layout import Places
from kamal_dev.compose.reading import ComposeFile, Reader
from kamal_dev.compose.service import Service
from kamal_dev.compose.travels import Travel
from kamal_dev.compose.value import Scope, Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Build, Features, Location, Notice, Tree


@dataclass(frozen=True)
class ComposeProject:
    """Hold everything that is known of a compose project; all paths are absolute.

    `directory` is the folder of the first file, from which Compose resolves paths.
    `files` are those that were named, in their order, then those they reach.
    `builds` are those that the `started` services need, in the order to make them, without
    images; equal builds are one, with several services. `run_services` are the names that
    `up` is given, none where it starts all that the profiles let it. `binds` and `travels`
    are what the services take from this machine. `variables` are the names that a host looks up, `values` those
    that have a value and travel; `claimed` are names of `node` that an `.env` sets.
    `own_env` is the `.env` at the top of the repository where Compose reads it. `unset` are
    variables that secrets and configs are made of, and that are set nowhere. `problems` forbid
    a deployment though the files can be read, those of `unset` too; a reader of a project must
    look at them before it builds.
    """

    repository: Path
    directory: Path
    name: str
    files: tuple[ComposeFile, ...]
    services: tuple[Service, ...]
    builds: tuple[Build, ...]
    binds: tuple[Bind, ...]
    travels: tuple[Travel, ...]
    variables: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = field(repr=False)
    claimed: tuple[tuple[str, Location], ...]
    profiles: tuple[str, ...]
    run_services: tuple[str, ...]
    started: tuple[str, ...]
    own_env: str = field(repr=False)
    unset: tuple[str, ...]
    notices: tuple[Notice, ...]
    problems: tuple[Problem, ...]
    scope: Scope = field(repr=False, compare=False)
    model: Value = field(repr=False, compare=False)
    reader: Reader = field(repr=False, compare=False)

    @property
    def top_files(self) -> tuple[ComposeFile, ...]:
        """The files that Compose is given by name, in their order."""
        return tuple(file for file in self.files if file.role == "top")

    @cached_property
    def places(self) -> Places:
        """Where the files are in a release."""
        found = [file.path.parent for file in self.files]
        found += [travel.path.parent for travel in self.travels if travel.role == "env"]
        top = posixpath.commonpath([folder.as_posix() for folder in (self.repository, *found)])
        return Places(self.repository, Path(top))

    def service(self, name: str) -> Service:
        """Return a service by name. Raises ComposeError that lists the names there are."""
        for found in self.services:
            if found.name == name:
                return found
        names = ", ".join(f"`{found.name}`" for found in self.services) or "none"
        file = self.files[0].display
        raise ComposeError(Problem(file, 0, f"has no service `{name}`"), hint=f"its services are: {names}")


def load(
    files: tuple[Path, ...],
    *,
    tree: Tree,
    repository: Path,
    environment: Mapping[str, str],
    main: str = "",
    run_services: tuple[str, ...] = (),
    root: Path | None = None,
    compose_version: tuple[int, ...] = (),
    texts: Mapping[Path, str] | None = None,
    places: Mapping[Path, Location] | None = None,
    features: Mapping[str, Features] | None = None,
    own: Mapping[str, str] | None = None,
    allow_outside: bool = False,
) -> ComposeProject:
    """Read a project from absolute paths in `-f` order. Raises ComposeError with file and line.

    `root` is the folder in which Compose would be run, whose `.env` it reads from
    2.27.2 on; the repository where it is not given. An empty `compose_version`
    stands for the newest. `texts` stand in for files under their paths; whoever made
    them has resolved the variables. `places` says where each file is named, for the
    error about one that is missing. `main` is started whatever its profile; of the others those that the
    active profiles start, or `run_services` where there are any. A service in `features` gets an image of its own,
    with these Features, even where it has no build. `own` are the variables of `node`,
    of any one stack; those of the environment are not used. With `allow_outside`, files
    outside the repository travel, and are built from.
    """
    if not files:
        raise ComposeError(Problem("", 0, "no compose file is named"))
    files = tuple(place.absolute(repository, file.as_posix()) for file in files)
    reader = Reader(tree, repository, texts, allow_outside=allow_outside)
    directory = files[0].parent
    # First what is named: a `.env` beside a file that may not be read is not what is wrong.
    for path in files:
        reader.file(path, "top", (places or {}).get(path, Location("")))
    around = variables.Surroundings({**(own or {}), **environment}, (), {}, {})
    if not texts:
        around = variables.surroundings(directory, root or repository, reader, environment, compose_version, own or {})
    name = _name(reader, files, around.variables)
    scope = Scope(directory, {**around.variables, "COMPOSE_PROJECT_NAME": name})
    profiles = tuple(filter(None, map(str.strip, around.variables.get("COMPOSE_PROFILES", "").split(","))))
    choice = Choice(name, profiles, main, run_services, features or {})
    return _project(reader, reader.read(files, scope), scope, around, choice)


def load_text(
    text: str,
    *,
    path: Path,
    tree: Tree,
    repository: Path,
    environment: Mapping[str, str],
    main: str = "",
    root: Path | None = None,
    features: Mapping[str, Features] | None = None,
    own: Mapping[str, str] | None = None,
    allow_outside: bool = False,
) -> ComposeProject:
    """Read a project from one text, as if it stood in a file at `path`, inside the repository."""
    return load(
        (path,),
        tree=tree,
        repository=repository,
        environment=environment,
        main=main,
        root=root,
        texts={path: text},
        features=features,
        own=own,
        allow_outside=allow_outside,
    )


@dataclass(frozen=True)
class Choice:
    """Hold what is decided before the files are read."""

    name: str
    profiles: tuple[str, ...]
    main: str
    run_services: tuple[str, ...]
    features: Mapping[str, Features]


def _project(
    reader: Reader, model: Value, scope: Scope, around: variables.Surroundings, choice: Choice
) -> ComposeProject:
    wrong = malformed.problems(model, reader.files.values())
    try:
        found = _described(reader, model, scope, around, choice)
    except ComposeError as error:
        # What is misspelt is the cause, and what does not fit for that reason its consequence.
        raise ComposeError(malformed.first(wrong, error.problems), hint=error.hint) from error
    return replace(found, problems=malformed.first(wrong, found.problems))


def _described(
    reader: Reader, model: Value, scope: Scope, around: variables.Surroundings, choice: Choice
) -> ComposeProject:
    services = _entries(model, "services")
    ground = Ground(reader, _entries(model, "secrets"), around.variables)
    asked = service.asked(services, choice.profiles, choice.main, choice.run_services)
    enabled = service.enabled(services, choice.profiles, asked)
    described = service.read(services, enabled, frozenset(choice.features))
    consistency.check(model, described)
    started = service.started(described, asked)
    findings = builds.read(services, ground, choice.features, {item.built_as for item in started})
    bound, bind_notices = binds.read(model, reader.tree, reader.repository, allow_outside=reader.allow_outside)
    active = frozenset(item.name for item in started)
    needed = travels.read(model, bound, reader, active)
    named = profiles.of_services(services, scope.base, reader, active)
    env_files = _env_files(reader, around)
    carried = (*needed.travels, *named.travels, *env_files.travels)
    names = variables.mentioned(reader, model, carried)
    unset = tuple(variables.unset(model, active, around, reader))
    wrong = (
        *findings.problems,
        *needed.problems,
        *named.problems,
        *service.problems(services, started),
        *node.problems(model),
    )
    wrong += tuple(item.problem for item in unset)
    found = (*findings.notices, *travels.notices(carried, reader), *bind_notices, *service.notices(model))
    found += named.notices
    return ComposeProject(
        repository=reader.repository,
        directory=scope.base,
        name=choice.name,
        files=tuple(reader.files.values()),
        services=described,
        builds=findings.builds,
        binds=bound,
        travels=carried,
        variables=tuple(names),
        values=tuple(variables.travelling({**around.claimed, **names}, around).items()),
        claimed=tuple(around.claimed.items()),
        profiles=choice.profiles,
        run_services=asked,
        started=tuple(item.name for item in started),
        own_env=env_files.own_text,
        unset=tuple(dict.fromkeys(item.name for item in unset)),
        notices=(*found, *variables.notices(names, around, variables.plain_names(reader))),
        problems=wrong,
        scope=scope,
        model=model,
        reader=reader,
    )


@dataclass(frozen=True)
class EnvFiles:
    """Hold the `.env` files that Compose reads by itself, for the project or for what it includes.

    `own_text` is the one at the top of the repository, which becomes part of the release's own.
    """

    travels: tuple[Travel, ...]
    own_text: str = field(repr=False)


def _env_files(reader: Reader, around: variables.Surroundings) -> EnvFiles:
    places = {path: Location(place.shown(path, reader.repository)) for path in around.files}
    places |= {path: where for path, where in reader.env_files.items() if where.path}
    top = reader.repository / layout.ENV
    text = document.decode(reader.bytes(top, places[top]), layout.ENV) if top in places else ""
    return EnvFiles(
        tuple(
            Travel(path, reader.bytes(path, where), "env", where, mode=travels.PRIVATE)
            for path, where in places.items()
            if path != top
        ),
        text,
    )


def _entries(model: Value, key: str) -> dict[str, Value]:
    found = model.at(key)
    return found.items if found is not None else {}


def _name(reader: Reader, files: tuple[Path, ...], known: Mapping[str, str]) -> str:
    """Return the project's name here, where no stack gives it another one."""
    written = [
        pair[1].text
        for path in files
        for root in reader.files[path].documents
        if root.kind == "mapping" and (pair := root.entry("name")) is not None
    ]
    text = known.get("COMPOSE_PROJECT_NAME") or (written[-1] if written else posixpath.basename(str(files[0].parent)))
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")
