"""Who has hosts and secrets for a repository that is not checked out where `dev` runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kamal_dev import config
from kamal_dev.config import Config
from kamal_dev.errors import ConfigError, Problem, UsageError
from kamal_dev.project import untrusted
from kamal_dev.project.loading import CONFIG_FILE, local_path, root_of
from kamal_dev.project.project import Home
from kamal_dev.project.tree import WorkingTree
from kamal_dev.syntax.text import decode


def home_of(
    folder: Path,
    checkout: Path,
    *,
    service: str,
    environment: Mapping[str, str],
    config_path: str | None,
    kept: Path,
    is_trusting: bool,
) -> Home:
    """Return the home of the repository in `checkout`: the configuration where `dev` runs, else its own.

    `config_path` is `--config`, relative to `folder`, where `dev` runs; `kept` is for the private folder. A repository
    that is not trusted gets no secrets, except those that the configuration where `dev` runs names, and no registry of
    its own choice. Raises ConfigError.
    """
    own = _read(checkout / CONFIG_FILE, service, environment if is_trusting else untrusted.visible(environment))
    named = own.service if own else config.service_name(service)
    place = folder / config_path if config_path else root_of(folder, WorkingTree(), None) / CONFIG_FILE
    here = _read(place, named, environment)
    if here:
        root = place.parent.parent if place.parent.name == "config" else place.parent
        given = (*here.secrets, *here.build.secrets, here.registry.username_env, here.registry.password_env)
        settings = replace(_with_absolute_keys(here, root), service=named)
        return Home(root, settings, place, kept, is_trusting, tuple(filter(None, given)))
    if config_path:
        raise UsageError(f"there is no file {config_path}", hint="`--config` is a file on this machine")
    settings = own or config.default(named)
    settings = settings if is_trusting else _restricted(settings)
    return Home(checkout if is_trusting else kept, settings, checkout / CONFIG_FILE, kept, is_trusting)


def _restricted(settings: Config) -> Config:
    """Return the configuration of a repository that is not trusted without what would use the user's rights."""
    if not settings.registry.is_local:
        # A push would use the user's login, to any place of a registry that somebody else names.
        settings = replace(settings, registry=config.default(settings.service).registry)
    if settings.provider.shares_machine:
        # Hosts on this machine are privileged containers: their image must not be somebody else's.
        options = tuple((name, "" if name == "image" else value) for name, value in settings.provider.options)
        settings = replace(settings, provider=replace(settings.provider, options=options))
    return settings


def _read(path: Path, service: str, environment: Mapping[str, str]) -> Config | None:
    """Return the configuration in a file; None if there is no such file. Raises ConfigError."""
    text, over = _text(path), _text(local_path(path))
    if text is None:
        return None
    local = None if over is None else (over, str(local_path(path)))
    defaults = config.Defaults(config.service_name(service))
    return config.load(text, str(path), environment=environment, defaults=defaults, local=local)


def _text(path: Path) -> str | None:
    if what := WorkingTree().oddity(path):
        raise ConfigError(Problem(str(path), 0, f"is {what}, not a file"))
    try:
        return decode(path.read_bytes(), str(path), ConfigError) if path.is_file() else None
    except OSError as error:
        raise ConfigError(Problem(str(path), 0, f"cannot be read: {error.strerror}")) from error


def _with_absolute_keys(settings: Config, root: Path) -> Config:
    """Return the configuration with paths of SSH keys that are valid in every folder."""

    def absolute(keys: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(root / Path(key).expanduser()) for key in keys)

    def host(listed: Any) -> Any:
        return {**listed, "keys": absolute(tuple(listed["keys"]))} if isinstance(listed, dict) else listed

    options = tuple(
        (name, tuple(map(host, value)) if name == "hosts" else value) for name, value in settings.provider.options
    )
    ssh = replace(settings.ssh, keys=absolute(settings.ssh.keys))
    return replace(settings, provider=replace(settings.provider, options=options), ssh=ssh)
