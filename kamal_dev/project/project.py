"""A project: everything that a verb works with, read once. Decides nothing about hosts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from functools import cached_property
from pathlib import Path

from kamal_dev import compose, config, devcontainer
from kamal_dev.compose import Additions, ComposeProject, Rewritten, listing
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.listing import ListedService
from kamal_dev.config import Config, SecretsFile
from kamal_dev.devcontainer import Devcontainer, Private
from kamal_dev.errors import ComposeError, DevcontainerError, Problem
from kamal_dev.model import REDACTED, Build, Features, Image, Notice, Secret, Version
from kamal_dev.model.stack_engine import COMPOSE, StackEngine
from kamal_dev.output.redaction import Redaction
from kamal_dev.project import compose_files, notices, untrusted
from kamal_dev.project import compose_origin as origins
from kamal_dev.project.compose_origin import Origin
from kamal_dev.project.local_folder import PRIVATE, private
from kamal_dev.project.source import Source
from kamal_dev.project.tree import WorkingTree
from kamal_dev.project.withheld import Withheld
from kamal_dev.values import dataclass

LONGEST_SECRET = 1 << 14  # a larger file is data, and its lines are ordinary words
HERE = "."  # the reference of a stack from the working tree where `dev` runs


@dataclass(frozen=True)
class Home:
    """Hold where `dev` runs: `root` has the secrets, the hooks and the private folder, `config` says who has hosts.

    `config_file` is where its config/dev.yml is, or would be. `kept` contains the private folder instead of `root` if
    the repository is not checked out here. Unless `is_trusting`, no command of the source runs on this machine, and it
    sees neither the environment nor secrets, except those `given` to it.
    """

    root: Path
    config: Config
    config_file: Path
    kept: Path | None = None
    is_trusting: bool = True
    given: tuple[str, ...] = ()


@dataclass(frozen=True)
class SourceOrigin:
    """Hold where the source comes from, and where `dev` runs, `home`.

    `ref` is a branch, tag, commit or `pr/N`, the absolute path of a worktree, or `.` for the working tree where `dev`
    runs; empty for a numbered stack. `repository` is the address of the repository, without credentials.
    """

    home: Home
    ref: str = ""
    repository: str = ""

    @property
    def entries(self) -> dict[str, str]:
        """The entries of the manifest of a release; none for a numbered stack."""
        named = {"ref": self.ref, "repository": self.repository} if self.ref else {}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True)
class Project:
    """Hold everything that a verb works with, read once; `listed` are the services of the release of a named stack.

    `root` is the workspace folder, which contains config/dev.yml or .devcontainer. All paths are absolute. Compose
    files are read when a verb first needs them. `compose_version` returns the version of local Compose, empty if not
    installed; `sent` lists the files that a workspace gets, relative to the repository. With `allow_outside`, files
    outside the repository may be sent and built from. `engine` runs the stacks.
    """

    root: Path
    source: Source
    version: Version
    config: Config
    devcontainer: Devcontainer
    secrets_file: SecretsFile = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    hidden: Private = field(repr=False)
    tree: WorkingTree = field(repr=False)
    redaction: Redaction = field(repr=False)
    compose_version: Callable[[], tuple[int, ...]] = field(repr=False)
    sent: Callable[[], tuple[str, ...]] = field(repr=False)
    source_origin: SourceOrigin
    allow_outside: bool = False
    engine: StackEngine = COMPOSE
    listed: tuple[ListedService, ...] | None = None

    @property
    def home(self) -> Home:
        """Where `dev` runs: another folder than `root` if the source is that of a reference."""
        return self.source_origin.home

    @cached_property
    def compose(self) -> ComposeProject:
        """The compose project, written by the user or generated from an image or a Dockerfile. Raises ComposeError."""
        # Secrets are matched by value; the value of a secret command is only requested when needed.
        names = (*self.config.secrets, *self.secrets_file.names)
        plain = self.secrets_file.known(names)
        for name, secret in plain.items():
            # The user name is not secret, and an error about a login has to show it.
            if name != self.config.registry.username_env:
                self.redaction.add(secret)
        known = {name: secret.reveal() for name, secret in plain.items()}
        around = {name: value for name, value in self.environment.items() if name not in compose.NODE_NAMES}
        try:
            compose_project = compose_files.read(self, around, {**dict.fromkeys(names, REDACTED), **known})
        except ComposeError as error:
            if any(REDACTED in problem.message for problem in error.problems):
                error.hint = (
                    f"the name of a file, volume or image cannot come from a command in {self.secrets_file.path}: "
                    "write the value there, or set it in the environment"
                )
            if self.origin:
                raise self.origin.error(error) from error
            raise
        compose_files.require_services(self.devcontainer, compose_project)
        self.redaction.spare((self.config.service, *compose_project.names))
        for travel in compose_project.travels:
            if travel.role == "secret" and len(travel.content) <= LONGEST_SECRET:
                self.redaction.add(Secret(travel.content.decode(errors="surrogateescape")))
        return compose_project

    @property
    def workspace_source(self) -> str:
        """The source of workspaces: `git`, `sync`, `image` or `none`."""
        return self.config.workspace.source or ("git" if self.source.is_git else "sync")

    @property
    def withheld(self) -> Withheld:
        """The files of the repository that are never sent to a host."""
        named = (self.root / self.config.secrets_file, self.root / PRIVATE)
        return Withheld(tuple(Path(os.path.relpath(path, self.source.repository)) for path in named))

    @property
    def main(self) -> str:
        """The compose service that people work in."""
        return self.devcontainer.service or devcontainer.SERVICE

    @property
    def services(self) -> tuple[ListedService, ...]:
        """The services of the compose files, or those that a release lists."""
        if self.listed is not None:
            return self.listed
        images = {name: str(image) for name, image in self.images().items()}
        return listing.services(self.compose, images, self.main)

    @property
    def service_names(self) -> tuple[str, ...]:
        """The names of the services."""
        return tuple(item.name for item in (self.compose.services if self.listed is None else self.listed))

    @cached_property
    def origin(self) -> Origin | None:
        """The origin of a generated compose file; None if the user wrote it."""
        configuration = self.devcontainer
        if configuration.kind == "compose":
            return None
        shown = str((configuration.path.parent / compose_files.GENERATED).relative_to(self.source.repository))
        return origins.read(configuration, devcontainer.as_compose(configuration), shown)

    @cached_property
    def builds(self) -> tuple[Build, ...]:
        """The builds in their order, each with its image."""
        # Compose has no equivalent of the `options` of a devcontainer.json.
        own = devcontainer.build(self.devcontainer)
        own = own and replace(own, features=self.features)
        return compose.with_images((own,) if own else self.compose.builds, self.images())

    @property
    def features(self) -> Features | None:
        """The Features that the image of the main service gets."""
        return devcontainer.features(self.devcontainer)

    @property
    def ignored_features(self) -> tuple[Notice, ...]:
        """The notice that Features are ignored, if they are."""
        configuration = self.devcontainer
        if self.features or "features" not in configuration.configuration:
            return ()
        return tuple(notice for notice in configuration.notices if notice.where == configuration.where("features"))

    @cached_property
    def additions(self) -> Additions:
        """What devcontainer.json and config/dev.yml add to the main service."""
        added = compose.additions(self.devcontainer, self.config, self.main, self.compose.run_services)
        return replace(added, engine=self.engine)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """Notices about settings that are ignored."""
        of_compose = compose.notices(self.compose, self.additions)
        if self.origin:
            of_compose = tuple(dict.fromkeys(map(self.origin.notice, of_compose)))
        return (*self.config.notices, *self.devcontainer.notices, *notices.of_project(self), *of_compose)

    @property
    def binds(self) -> tuple[Bind, ...]:
        """The local files and folders that services mount, including the devcontainer's own mounts."""
        return compose.all_binds(self.compose, self.additions)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems that forbid a deploy, although the files can be read."""
        problems = (*compose.problems(self.compose, self.additions), *self._same_images())
        if not self.home.is_trusting:
            problems += tuple(untrusted.problems(self))
        return tuple(map(self.origin.problem, problems)) if self.origin else problems

    def _same_images(self) -> Iterator[Problem]:
        """Yield the builds that would overwrite each other's image, because image names have no capital letters."""
        images, first = self.images(), dict[Image, str]()
        for build in self.compose.builds:
            name = build.services[0]
            other = first.setdefault(images[name], name)
            if other != name:
                message = f"`{other}` and `{name}` would both be built as `{images[name].name}`: rename one of them"
                yield Problem(build.where.path, build.where.line, message, key=f"services.{name}")

    def require_deployable(self) -> None:
        """Raise ComposeError with everything that forbids a deploy, although the files can be read."""
        if problems := self.problems:
            unset = self.compose.unset
            hint = config.how_to_set(self.config.secrets_file, unset) if unset else ""
            hint = hint if self.home.is_trusting else untrusted.HINT
            raise (DevcontainerError if self.origin else ComposeError)(problems, hint=hint)

    @cached_property
    def _named(self) -> Config:
        """The configuration with the registry's user name, which is only requested if image names contain it."""
        return config.with_username(self.config, self.secrets_file, ask="/" not in self.config.image.name)

    def image(self, service: str) -> Image:
        """Return the image of a built service."""
        return config.image(self._named, self.version, "" if service == self.main else service)

    def images(self) -> dict[str, Image]:
        """Return the image of every built service; services that share a build share its image."""
        return {
            service: self.image(self.main if self.main in build.services else build.services[0])
            for build in self.compose.builds
            for service in build.services
        }

    @property
    def repositories(self) -> tuple[str, ...]:
        """The names of all images that this project may have built, with any set of profiles."""
        idle = (self.image(service.name) for service in self.compose.services if service.has_build)
        return tuple(dict.fromkeys(image.name for image in (*self.images().values(), *idle)))

    @cached_property
    def rewritten(self) -> Rewritten:
        """The compose files with images instead of builds, the same for every stack."""
        return compose.rewritten(self.compose, self.images())

    def require(self, name: str) -> Secret:
        """Return a variable's value. Raises CredentialsMissing with the file to set it in."""
        return self.require_all((name,))[name]

    def require_all(self, names: Iterable[str]) -> dict[str, Secret]:
        """Return values by name. Raises CredentialsMissing with all names that are not set."""
        secrets = self.secrets_file.require(names)
        for value in secrets.values():
            self.redaction.add(value)
        return secrets

    def variables(self, *, mask: bool = False) -> dict[str, Secret]:
        """Return the secrets for `${…}` in compose files and for the main service on a host.

        With `mask`, no secret is requested, because `.env` is masked anyway. Raises CredentialsMissing.
        """
        listed = set(self.config.secrets)
        hidden = listed | (set(self.compose.variables) & set(self.secrets_file.names))
        hidden |= {name for _, value in self.compose.values for name in compose.secrets_in(value)}
        return dict.fromkeys(sorted(hidden), Secret("")) if mask else self.require_all(sorted(hidden))

    def notify(self, *, mask: bool = False) -> str:
        """Return the file that configures who is notified about alerts. Raises CredentialsMissing, ConfigError."""
        settings = self.config.notify
        secrets = None if mask else self.require_all(settings.secrets)
        return config.notify_text(settings, secrets, self.config.secrets_file)

    def private(self) -> Path:
        """Return the private folder of the project where `dev` runs."""
        return private(self.home.kept or self.home.root)

    def source_cache(self) -> Path:
        """Return the private folder next to the source, for what is only true of this source."""
        return private(self.root)
