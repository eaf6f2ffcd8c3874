"""Find and read a project's files. No other code reads them, git or the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from kamal_dev import config, devcontainer
from kamal_dev.commands import docker
from kamal_dev.config import Config, SecretsFile
from kamal_dev.errors import ConfigError, DevcontainerError, DevError, Problem, UsageError
from kamal_dev.model import Version
from kamal_dev.model.stack_engine import StackEngine
from kamal_dev.output.redaction import Redaction
from kamal_dev.project import source as sources
from kamal_dev.project import untrusted
from kamal_dev.project.local_folder import refuse_links
from kamal_dev.project.project import Home, Project, SourceOrigin
from kamal_dev.project.source import Source
from kamal_dev.project.tree import WorkingTree
from kamal_dev.shell import Shell
from kamal_dev.shell.local import Local
from kamal_dev.syntax.text import decode
from kamal_dev.values import dataclass

CONFIG_FILE = "config/dev.yml"
COMPOSE_ANSWERS = 30.0
PIPE = 30.0  # seconds to wait for data from a pipe
SECRET_COMMAND = 60.0  # seconds; a password manager may ask for a fingerprint first


@dataclass(frozen=True)
class LoadContext:
    """Hold where files are read from; the user's relative paths start at `folder`."""

    folder: Path
    root: Path
    source: Source
    tree: WorkingTree
    environment: Mapping[str, str]

    def typed(self, path: Path) -> str:
        """Return a path as typed in the root folder."""
        return _relative(path, self.root)

    def shown(self, path: Path) -> str:
        """Return a path as shown in messages about the content of a file, also for compose files."""
        return _relative(path, self.source.repository)


def load(
    folder: Path,
    *,
    shell: Local,
    environment: Mapping[str, str],
    redaction: Redaction,
    config_path: str | None = None,
    devcontainer_path: str | None = None,
    version: str | None = None,
    strict: bool = True,
    ignore_features: bool = False,
    allow_outside: bool = False,
    degraded: bool = False,
    origin: SourceOrigin | None = None,
) -> Project:
    """Read the project that contains `folder` (absolute); the two paths are relative to `folder`.

    Unless `strict`, a devcontainer.json may contain things that cannot be deployed. With `ignore_features`, Features
    are ignored with a notice; with `degraded`, so is what the engine cannot do. With `origin`, the secrets and who has
    hosts come from its `home`, and the configuration too if the folder has none. Raises ConfigError for a problem in
    any file, UsageError for an invalid flag.
    """
    is_trusting = origin is None or origin.home.is_trusting
    visible = environment if is_trusting else untrusted.visible(environment)
    context = _context(folder, shell, visible, devcontainer_path)
    config_file = context.folder / config_path if config_path else context.root / CONFIG_FILE
    settings = _config(context, config_file, origin.home if origin else None, asked=config_path)
    origin = origin or SourceOrigin(Home(context.root, settings, config_file))
    secrets_file = _secrets(replace(context, environment=environment), settings, shell, redaction, origin.home.root)
    secrets_file = secrets_file if is_trusting else secrets_file.only(origin.home.given)
    private = devcontainer.Private(_secret_names(settings, secrets_file), settings.secrets)
    path = _devcontainer_path(context, devcontainer_path, settings)
    configuration = _devcontainer(context, settings, path, private, strict)
    configuration = devcontainer.without_features(configuration) if ignore_features else configuration
    project = _project(context, settings, configuration, secrets_file, private, redaction, shell, origin)
    engine = StackEngine(settings.engine, degraded)
    return replace(project, version=_version(context.source, version), allow_outside=allow_outside, engine=engine)


def _project(
    context: LoadContext,
    settings: config.Config,
    configuration: devcontainer.Devcontainer,
    secrets_file: config.SecretsFile,
    private: devcontainer.Private,
    redaction: Redaction,
    shell: Local,
    origin: SourceOrigin,
) -> Project:
    return Project(
        root=context.root,
        source=context.source,
        version=context.source.version,
        config=config.with_username(settings, secrets_file, ask=False),
        devcontainer=configuration,
        secrets_file=secrets_file,
        environment=context.environment,
        hidden=private,
        tree=context.tree,
        redaction=redaction,
        compose_version=lambda: _compose_version(shell),
        sent=lambda: sources.files(context.source, shell),
        source_origin=origin,
    )


def _context(folder: Path, shell: Local, environment: Mapping[str, str], devcontainer_path: str | None) -> LoadContext:
    root = refuse_links(root_of(folder, tree := WorkingTree(), devcontainer_path))
    try:
        source = sources.read(root, shell, environment)
    except DevError:
        # git fails on a committed file that is now a pipe, with a misleading hint.
        for path in (CONFIG_FILE, ".devcontainer/devcontainer.json"):
            if what := tree.oddity(root / path):
                raise ConfigError(Problem(path, 0, f"is {what}, not a file")) from None
        raise
    return LoadContext(folder, root, source, tree, environment)


def root_of(folder: Path, tree: WorkingTree, devcontainer_path: str | None) -> Path:
    """Find the nearest folder upward with config/dev.yml or a devcontainer, inside the git top level."""
    if devcontainer_path:
        return _workspace_of(_absolute(folder, devcontainer_path), folder)
    for candidate in (folder, *folder.parents):
        if tree.kind(candidate / CONFIG_FILE) or devcontainer.find(tree, candidate):
            return candidate
        if (candidate / ".git").exists():
            break
    return folder


def _workspace_of(path: Path, folder: Path) -> Path:
    """Return the workspace folder of a devcontainer.json.

    Like in the devcontainer CLI, this is the current folder; from inside or next to a .devcontainer folder, it is the
    folder that contains that.
    """
    holder = next((parent.parent for parent in path.parents if parent.name == ".devcontainer"), path.parent)
    return folder if holder.is_relative_to(folder) else holder


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _absolute(folder: Path, path: str) -> Path:
    """Return a path without `..`, without resolving links."""
    return Path(os.path.normpath(folder / path))


def _config(context: LoadContext, path: Path, home: Home | None, *, asked: str | None) -> config.Config:
    text = _text(context, path)
    is_own = text is not None
    if text is None and home:
        path, text = home.config_file, _text(context, home.config_file)
    local = local_path(home.config_file if home else path)
    if text is None and asked:
        raise UsageError(f"there is no file {asked}", hint="`dev init` writes config/dev.yml")
    over = _text(context, local)
    name = home.config.service if home else config.service_name(context.root.name)
    if text is None and over is None:
        return config.of_home(config.default(name), home.config) if home else config.default(name)
    settings = config.load(
        text or "",
        context.shown(path),
        environment=context.environment,
        defaults=None if is_own else config.Defaults(name),
        local=None if over is None else (over, context.shown(local)),
    )
    _require_git(context, settings)
    return config.of_home(settings, home.config) if home else settings


def local_path(path: Path) -> Path:
    """Return the file that overrides a configuration on this machine only."""
    return path.with_name(f"{path.stem}.local{path.suffix}")


def _text(context: LoadContext, path: Path) -> str | None:
    """Return the text of a configuration; None if there is no such file. Raises ConfigError if it cannot be read."""
    _require_file(context, path, ConfigError)
    shown = context.shown(path)
    return decode(_read(context, path, ConfigError), shown, ConfigError) if context.tree.kind(path) == "file" else None


def _require_file(context: LoadContext, path: Path, failure: type[ConfigError]) -> None:
    if what := context.tree.oddity(path):
        raise failure(Problem(context.shown(path), 0, f"is {what}, not a file"))


def _require_git(context: LoadContext, settings: config.Config) -> None:
    if settings.workspace.source == "git" and not context.source.is_git:
        where = settings.where["workspace.source"]
        message = f"is `git`, but {context.root} is not in a git repository"
        raise ConfigError(
            Problem(where.path, where.line, message, "workspace.source", where.column),
            hint="run `git init`, or use `sync`",
        )


def _devcontainer_path(context: LoadContext, asked: str | None, settings: config.Config) -> Path:
    if asked or settings.image.devcontainer:
        path = _absolute(context.folder, asked) if asked else _absolute(context.root, settings.image.devcontainer)
        if context.tree.kind(path) != "file":
            raise UsageError(f"there is no devcontainer.json at {context.typed(path)}")
        return path
    files = devcontainer.find(context.tree, context.root)
    for path in () if files else devcontainer.first_places(context.root):
        _require_file(context, path, DevcontainerError)
    if not files:
        raise UsageError(
            f"there is no devcontainer.json in {context.root}",
            hint="add .devcontainer/devcontainer.json, or pass one with `--devcontainer PATH`",
        )
    if len(files) > 1 and not devcontainer.is_default(files[0], context.root):
        names = ", ".join(map(context.typed, files))
        raise UsageError(
            f"several devcontainers: {names}", hint="choose one: `--devcontainer PATH`, or `image.devcontainer`"
        )
    return files[0]


def _devcontainer(
    context: LoadContext, settings: config.Config, path: Path, private: devcontainer.Private, strict: bool
) -> devcontainer.Devcontainer:
    shown = context.shown(path)
    labels = {"kamal-dev.service": settings.service, "kamal-dev.config": context.typed(path)}
    configuration = devcontainer.load(
        decode(_read(context, path, DevcontainerError), shown, DevcontainerError),
        path,
        root=context.root,
        repository=context.source.repository,
        environment=context.environment,
        display=shown,
        private=private,
        strict=False,
        devcontainer_id=devcontainer.devcontainer_id(labels),
    )
    if strict and configuration.problems:
        raise DevcontainerError(configuration.problems)
    return configuration


def _secrets(
    context: LoadContext, settings: config.Config, shell: Shell, redaction: Redaction, root: Path
) -> config.SecretsFile:
    """Read the secrets, and redact those that need no command: messages may come before a secret is asked for."""
    path = root / settings.secrets_file
    text = ""
    if context.tree.oddity(path) == "a named pipe":
        # Some password managers provide the file as a pipe.
        text = decode(_read(context, path, ConfigError, PIPE), settings.secrets_file, ConfigError)
    else:
        text = _text(context, path) or ""
    secrets = config.parse_secrets(
        text,
        settings.secrets_file,
        environment=context.environment,
        run=lambda step: shell.run(replace(step, cwd=root), timeout=SECRET_COMMAND),
    )
    for secret in secrets.plain((*settings.secrets, *settings.build.secrets, settings.registry.password_env)):
        redaction.add(secret)
    return secrets


def _read(context: LoadContext, path: Path, failure: type[ConfigError], wait: float = 0) -> bytes:
    """Return a file's content; with `wait`, also from a pipe."""
    try:
        return context.tree.pipe(path, wait) if wait else context.tree.read(path)
    except OSError as error:
        raise failure(Problem(context.shown(path), 0, f"cannot be read: {error.strerror}")) from error


def _compose_version(shell: Shell) -> tuple[int, ...]:
    result = shell.run(docker.compose(), timeout=COMPOSE_ANSWERS)
    return tuple(map(int, re.findall(r"\d+", result.output)[:3])) if result else ()


def _version(source: Source, asked: str | None) -> Version:
    if asked is None:
        return source.version
    return Version(config.tag(asked), source.version.commit, source.version.is_dirty)


def _secret_names(settings: Config, secrets_file: SecretsFile) -> frozenset[str]:
    """Return the variables with secret values."""
    named = (
        *settings.secrets,
        *settings.build.secrets,
        *settings.notify.secrets,
        settings.registry.password_env,
        *secrets_file.names,
    )
    return frozenset(filter(None, named))
