"""A compose project as a whole: services, builds, files to send, variables. Renders nothing."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path

from kamal_dev.compose import (
    binds,
    builds,
    carried,
    consistency,
    malformed,
    place,
    secret_text,
    service,
    stack_variables,
    variables,
)
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.build_section import Ground
from kamal_dev.compose.layout import ReleaseLayout
from kamal_dev.compose.reading import ComposeFile, ComposeReader
from kamal_dev.compose.service import Service
from kamal_dev.compose.travels import Travel
from kamal_dev.compose.value import Scope, Value
from kamal_dev.errors import ComposeError, Problem
from kamal_dev.model import Build, Features, Location, Notice, Tree
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class ComposeProject:
    """Hold everything known about a compose project; all paths are absolute.

    `directory` is the folder of the first file, from which Compose resolves paths. `files` are the named files in
    order, then the files they reach. `builds` are those that the `started` services need, in build order, without
    images; equal builds are one with several services. `run_services` are the names passed to `up`, none if it starts
    everything that the profiles allow. `binds` and `sent` are what the services take from this machine. `variables`
    are the names that a host looks up, `values` those with a value, which are sent; `claimed` are names of `node`
    that an `.env` sets. `own_env` is the `.env` at the top of the repository if Compose reads it. `unset` are
    variables of secrets and configs that are set nowhere. `problems` forbid a deploy although the files can be read,
    including those of `unset`; check them before building.
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
    reader: ComposeReader = field(repr=False, compare=False)

    @property
    def top_files(self) -> tuple[ComposeFile, ...]:
        """The files that are passed to Compose by name, in order."""
        return tuple(file for file in self.files if file.role == "top")

    @cached_property
    def places(self) -> ReleaseLayout:
        """The places of the files in a release."""
        folders = [file.path.parent for file in self.files]
        folders += [travel.path.parent for travel in self.travels if travel.role == "env"]
        top = posixpath.commonpath([folder.as_posix() for folder in (self.repository, *folders)])
        return ReleaseLayout(self.repository, Path(top))

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the files: services, networks, volumes, secrets, configs and profiles."""
        named = (name for key in ("networks", "volumes", "secrets", "configs") for name in _entries(self.model, key))
        profiles = (profile for service in self.services for profile in service.profiles)
        return (*(service.name for service in self.services), *named, *profiles)

    def service(self, name: str) -> Service:
        """Return a service by name. Raises ComposeError that lists the existing names."""
        for candidate in self.services:
            if candidate.name == name:
                return candidate
        names = ", ".join(f"`{candidate.name}`" for candidate in self.services) or "none"
        file = self.files[0].display
        raise ComposeError(Problem(file, 0, f"has no service `{name}`"), hint=f"its services are: {names}")


def load(
    files: tuple[Path, ...],
    *,
    tree: Tree,
    repository: Path,
    environment: Mapping[str, str],
    secrets: Mapping[str, str] | None = None,
    main: str = "",
    run_services: tuple[str, ...] = (),
    root: Path | None = None,
    compose_version: tuple[int, ...] = (),
    texts: Mapping[Path, str] | None = None,
    places: Mapping[Path, Location] | None = None,
    features: Mapping[str, Features] | None = None,
    own: Mapping[str, str] | None = None,
    allow_outside: bool = False,
    home_mounts: bool = False,
) -> ComposeProject:
    """Read a project from absolute paths in `-f` order. Raises ComposeError with file and line.

    `secrets` are resolved like other variables, but written to `.env` only; `[redacted]` replaces values that
    are not known yet. `main` is started regardless of its profile, together with what the profiles start or, if there
    are any, `run_services`. `root` (the repository) is where Compose would run: from 2.27.2 on it reads `.env` there;
    an empty `compose_version` means the newest. `texts` replace files at their paths, with variables resolved;
    `places` says where each file is named. A service in `features` gets its own image even without a build.
    """
    environment = {**environment, **secret_text.all_marked(secrets or {})}
    kept = () if home_mounts else binds.personal(environment)
    reader = ComposeReader(tree, repository, texts, allow_outside=allow_outside, personal=kept)
    files = _named(repository, files)
    # The named files first: an `.env` next to an unreadable file is not the cause.
    for path in files:
        reader.file(path, "top", (places or {}).get(path, Location("")))
    around = variables.around(files[0].parent, root or repository, reader, environment, compose_version, own or {})
    scope = _scope(reader, files, around)
    choice = ProjectSelection(
        scope.variables["COMPOSE_PROJECT_NAME"], service.profiles(around.variables), main, run_services, features or {}
    )
    return _project(reader, reader.read(files, scope), scope, around, choice)


def _named(repository: Path, files: tuple[Path, ...]) -> tuple[Path, ...]:
    if not files:
        raise ComposeError(Problem("", 0, "no compose file is given"))
    return tuple(place.absolute(repository, file.as_posix()) for file in files)


def _scope(reader: ComposeReader, files: tuple[Path, ...], around: variables.Surroundings) -> Scope:
    name = _name(reader, files, around.variables)
    return Scope(files[0].parent, {**around.variables, "COMPOSE_PROJECT_NAME": name})


def load_text(
    text: str,
    *,
    path: Path,
    tree: Tree,
    repository: Path,
    environment: Mapping[str, str],
    secrets: Mapping[str, str] | None = None,
    main: str = "",
    root: Path | None = None,
    features: Mapping[str, Features] | None = None,
    own: Mapping[str, str] | None = None,
    allow_outside: bool = False,
    home_mounts: bool = False,
) -> ComposeProject:
    """Read a project from one text, as if it were a file at `path`, inside the repository."""
    return load(
        (path,),
        tree=tree,
        repository=repository,
        environment=environment,
        secrets=secrets,
        main=main,
        root=root,
        texts={path: text},
        features=features,
        own=own,
        allow_outside=allow_outside,
        home_mounts=home_mounts,
    )


@dataclass(frozen=True)
class ProjectSelection:
    """Hold what is decided before the files are read."""

    name: str
    profiles: tuple[str, ...]
    main: str
    run_services: tuple[str, ...]
    features: Mapping[str, Features]


def _project(
    reader: ComposeReader, model: Value, scope: Scope, around: variables.Surroundings, choice: ProjectSelection
) -> ComposeProject:
    wrong = malformed.problems(model, reader.files.values())
    try:
        described = _described(reader, model, scope, around, choice)
    except ComposeError as error:
        # A misspelt key is the cause; what does not fit because of it is a consequence.
        raise ComposeError(malformed.first(wrong, error.problems), hint=error.hint) from error
    return replace(described, problems=malformed.first(wrong, described.problems))


def _described(
    reader: ComposeReader, model: Value, scope: Scope, around: variables.Surroundings, choice: ProjectSelection
) -> ComposeProject:
    services = _entries(model, "services")
    asked = service.asked(services, choice.profiles, choice.main, choice.run_services)
    described = service.read(services, service.enabled(services, choice.profiles, asked), frozenset(choice.features))
    consistency.check(model, described)
    started = service.started(described, asked)
    ground = Ground(reader, _entries(model, "secrets"), around.variables)
    findings = builds.read(services, ground, choice.features, {item.built_as for item in started})
    active = frozenset(item.name for item in started)
    taken = carried.read(model, reader, around, scope.base, active)
    names = variables.mentioned(reader, model, taken.travels)
    unset = tuple(variables.unset(model, active, around, reader))
    named = (*service.problems(services, started), *stack_variables.problems(model))
    wrong = (*findings.problems, *taken.problems, *named)
    all_notices = (*findings.notices, *taken.notices, *service.notices(model))
    return ComposeProject(
        repository=reader.repository,
        directory=scope.base,
        name=choice.name,
        files=tuple(reader.files.values()),
        services=described,
        builds=findings.builds,
        binds=taken.binds,
        travels=taken.travels,
        variables=tuple(names),
        values=tuple(variables.travelling({**around.claimed, **names}, around).items()),
        claimed=tuple(around.claimed.items()),
        profiles=choice.profiles,
        run_services=asked,
        started=tuple(item.name for item in started),
        own_env=taken.own_env,
        unset=tuple(dict.fromkeys(item.name for item in unset)),
        notices=(*all_notices, *variables.notices(names, around, variables.plain_names(reader))),
        problems=(*wrong, *(item.problem for item in unset)),
        scope=scope,
        model=model,
        reader=reader,
    )


def _entries(model: Value, key: str) -> dict[str, Value]:
    section = model.at(key)
    return section.items if section is not None else {}


def _name(reader: ComposeReader, files: tuple[Path, ...], known: Mapping[str, str]) -> str:
    """Return the project's local name, which no stack overrides."""
    written = [
        pair[1].text
        for path in files
        for root in reader.files[path].documents
        if root.kind == "mapping" and (pair := root.entry("name")) is not None
    ]
    text = secret_text.plain(known.get("COMPOSE_PROJECT_NAME", "")) or (
        written[-1] if written else posixpath.basename(str(files[0].parent))
    )
    return re.sub(r"[^a-z0-9_-]", "", text.lower()).lstrip("_-")
