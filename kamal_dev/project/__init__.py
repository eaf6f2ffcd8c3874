"""Read the working tree, git and the environment once, into a Project. Nothing else reads them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from kamal_dev import compose, config, devcontainer
from kamal_dev.errors import ComposeError, ConfigError, CredentialsMissing, Problem, UsageError
from kamal_dev.model import REDACTED, Build, Image, Notice, Secret, Version
from kamal_dev.project import source as sources
from kamal_dev.project.source import Source
from kamal_dev.project.tree import WorkingTree
from kamal_dev.shell import Shell

CONFIG_FILE = "config/dev.yml"
PRIVATE = ".kamal/local"
COMPOSE_FILE = "compose.yaml"  # of a devcontainer that has none, beside its devcontainer.json
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")

Learn = Callable[[Secret], None]


@dataclass(frozen=True)
class Project:
    """Hold everything that a verb works on, read once.

    `root` is the workspace folder (where config/dev.yml or .devcontainer is);
    `compose` is the project of a compose devcontainer, or the one made from an
    image or a Dockerfile. All paths are absolute.
    """

    root: Path
    source: Source
    version: Version
    config: config.Config
    devcontainer: devcontainer.Devcontainer
    compose: compose.ComposeProject
    secrets_file: config.SecretsFile = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    tree: WorkingTree = field(repr=False)
    learn: Learn = field(repr=False)

    @property
    def main(self) -> str:
        """The compose service that people work in."""
        return self.devcontainer.service or devcontainer.SERVICE

    @property
    def builds(self) -> tuple[Build, ...]:
        """What is to be built, in the order in which it must be."""
        return self.compose.builds

    @cached_property
    def additions(self) -> compose.Additions:
        """What devcontainer.json and config/dev.yml add to the main service."""
        return compose.additions(self.devcontainer, self.config, self.main)

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What is not carried out as it is written."""
        return (*self.config.notices, *self.devcontainer.notices, *compose.notices(self.compose, self.additions))

    def require_deployable(self) -> None:
        """Raise ComposeError with everything that forbids a deploy though it can be read."""
        self.compose.service(self.main)
        if problems := compose.problems(self.compose, self.additions):
            raise ComposeError(problems)

    def image(self, service: str) -> Image:
        """Return the image that a built service gets."""
        return config.image(self.config, self.version, "" if service == self.main else service)

    def images(self) -> dict[str, Image]:
        """Return the image of every built service; services of one build share it."""
        return {
            service: self.image(self.main if self.main in build.services else build.services[0])
            for build in self.builds
            for service in build.services
        }

    def secret(self, name: str) -> Secret | None:
        """Return a variable's value: the process environment first, then the secrets file."""
        value = self.secrets_file.get(name)
        if value is not None:
            self.learn(value)
        return value

    def require(self, name: str) -> Secret:
        """Return a variable's value. Raises CredentialsMissing, which names the file that it should be in."""
        value = self.secret(name)
        if value is None or not value.reveal():
            raise CredentialsMissing(
                Problem(self.config.secrets_file, 0, f"`{name}` is not set"),
                hint=f"add `{name}=…` to {self.config.secrets_file}, or export it",
            )
        return value

    def variables(self, *, mask: bool = False) -> dict[str, Secret]:
        """Return the secrets that the compose files' `${…}` and the main service get on a host.

        With `mask` none is asked for: `.env` is masked anyway. Raises CredentialsMissing.
        """
        listed = set(self.config.secrets)
        hidden = listed | (set(self.compose.variables) & set(self.secrets_file.names))
        return {name: Secret("") if mask else self.require(name) for name in sorted(hidden)}

    def private(self) -> Path:
        """Return the project's private folder."""
        return private(self.root)


def private(root: Path) -> Path:
    """Return the folder for keys and caches, 0700; its own file makes git ignore it."""
    folder = root / PRIVATE
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / ".gitignore").exists():
        (folder / ".gitignore").write_text("*\n")
    return folder


def load(
    folder: Path,
    *,
    shell: Shell,
    environment: Mapping[str, str],
    learn: Learn,
    config_path: str | None = None,
    devcontainer_path: str | None = None,
    version: str | None = None,
) -> Project:
    """Read the project that `folder` (absolute) is in; the two paths are relative to `folder`.

    Raises ConfigError for every kind of file, UsageError for a flag that makes no sense.
    """
    tree = WorkingTree()
    root = _root(folder, tree, devcontainer_path)
    source = sources.read(root, shell)
    settings = _config(root, folder, config_path, tree, environment)
    path = _devcontainer_path(root, folder, devcontainer_path or None, settings, tree)
    found = _devcontainer(path, root, source, settings, tree, environment)
    secrets_file = _secrets(root, settings, tree, environment, shell)
    # A secret is known by name while files are read; its value is asked for when it is needed.
    hidden = dict.fromkeys((*settings.secrets, *secrets_file.names), REDACTED)
    return Project(
        root=root,
        source=source,
        version=_version(source, version),
        config=settings,
        devcontainer=found,
        compose=_compose(found, source, tree, {**hidden, **environment}),
        secrets_file=secrets_file,
        environment=environment,
        tree=tree,
        learn=learn,
    )


def _root(folder: Path, tree: WorkingTree, devcontainer_path: str | None) -> Path:
    """Find the nearest folder upward that has config/dev.yml or a devcontainer, not beyond the git top level."""
    if devcontainer_path:
        return _root_of((folder / devcontainer_path).absolute(), folder)
    for candidate in (folder, *folder.parents):
        if tree.kind(candidate / CONFIG_FILE) or devcontainer.find(tree, candidate):
            return candidate
        if (candidate / ".git").exists():
            break
    return folder


def _root_of(path: Path, folder: Path) -> Path:
    """Return the workspace folder of a devcontainer.json: what holds its .devcontainer folder."""
    for parent in path.parents:
        if parent.name == ".devcontainer":
            return parent.parent
    return path.parent if path.name.startswith(".") else folder


def _config(
    root: Path, folder: Path, config_path: str | None, tree: WorkingTree, environment: Mapping[str, str]
) -> config.Config:
    path = folder / config_path if config_path else root / CONFIG_FILE
    if tree.kind(path) != "file":
        if config_path:
            raise UsageError(f"there is no file {config_path}", hint="`dev init` writes config/dev.yml")
        return config.default(config.service_name(root.name))
    return config.load(_text(tree.read(path), _shown(path, root)), _shown(path, root), environment=environment)


def _devcontainer_path(root: Path, folder: Path, asked: str | None, settings: config.Config, tree: WorkingTree) -> Path:
    if asked or settings.image.devcontainer:
        path = folder / asked if asked else root / settings.image.devcontainer
        if tree.kind(path) != "file":
            raise UsageError(f"there is no devcontainer.json at {_shown(path, root)}")
        return path.absolute()
    found = devcontainer.find(tree, root)
    if not found:
        raise UsageError(
            f"there is no devcontainer.json in {root}",
            hint="add .devcontainer/devcontainer.json, or name one with `--devcontainer PATH`",
        )
    if len(found) > 1:
        names = ", ".join(_shown(path, root) for path in found)
        raise UsageError(
            f"several devcontainers: {names}", hint="choose one: `--devcontainer PATH`, or `image.devcontainer`"
        )
    return found[0]


def _devcontainer(
    path: Path,
    root: Path,
    source: Source,
    settings: config.Config,
    tree: WorkingTree,
    environment: Mapping[str, str],
) -> devcontainer.Devcontainer:
    shown = _shown(path, root)
    return devcontainer.load(
        devcontainer.decode(tree.read(path), shown),
        path,
        root=root,
        repository=source.repository,
        environment=environment,
        display=shown,
        devcontainer_id=devcontainer.devcontainer_id({"kamal-dev.service": settings.service, "kamal-dev.config": shown}),
    )


def _compose(
    found: devcontainer.Devcontainer, source: Source, tree: WorkingTree, environment: Mapping[str, str]
) -> compose.ComposeProject:
    if found.kind == "compose":
        files = devcontainer.compose_files(found, tree=tree, environment=environment)
        return compose.load(files, tree=tree, repository=source.repository, environment=environment)
    return compose.load_text(
        devcontainer.as_compose(found),
        found.path.parent,
        tree=tree,
        repository=source.repository,
        environment=environment,
    )


def _secrets(
    root: Path, settings: config.Config, tree: WorkingTree, environment: Mapping[str, str], shell: Shell
) -> config.SecretsFile:
    path = root / settings.secrets_file
    text = _text(tree.read(path), settings.secrets_file) if tree.kind(path) == "file" else ""

    return config.parse_secrets(text, settings.secrets_file, environment=environment, run=lambda step: shell.run(replace(step, cwd=root)))


def _version(source: Source, asked: str | None) -> Version:
    if asked is None:
        return source.version
    if not TAG.fullmatch(asked):
        raise UsageError(f"`{asked}` is not a tag", hint="letters, digits, `_`, `.` and `-`, at most 128")
    return Version(asked, source.version.commit, source.version.is_dirty)


def _text(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigError(Problem(shown, line, "is not UTF-8 text"), hint="save the file as UTF-8") from error


def _shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
