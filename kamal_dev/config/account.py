"""The registry's account: the variables that hold it, and which are missing. Logs in nowhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Container

from kamal_dev.config.secrets import SecretsFile, not_set
from kamal_dev.config.settings import Config
from kamal_dev.errors import CredentialsMissing, Problem
from kamal_dev.model import Secret
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Credentials:
    """Hold the arguments of `docker login`; `server` is the registry's address."""

    server: str
    username: str
    password: Secret


def with_username(config: Config, secrets: SecretsFile, *, ask: bool) -> Config:
    """Fill in the registry's user name from the secrets file if the environment does not have it.

    Only that variable is read from the file, so no other command in it runs; unless `ask`, not its own either.
    """
    registry = config.registry
    if registry.username or not registry.needs_login or not registry.username_env:
        return config
    name = registry.username_env
    secret = secrets.get(name) if ask else next(iter(secrets.plain((name,))), None)
    username = secret.reveal() if secret else ""
    return dataclasses.replace(config, registry=dataclasses.replace(registry, username=username))


def missing_credentials(config: Config, names: Container[str]) -> tuple[Problem, ...]:
    """Return the variables that are missing before a build for a registry or a push; runs no command.

    `names` are the variables that are set; a SecretsFile can be passed, too.
    """
    registry = config.registry
    if registry.is_placeholder:
        message = "no registry is configured; run `dev init` to create config/dev.yml"
        return (Problem(config.path or "config/dev.yml", 0, message),)
    wanted = (registry.username_env, registry.password_env) if registry.needs_login else ()
    return tuple(Problem(config.secrets_file, 0, f"{name} is not set") for name in wanted if name not in names)


def credentials(config: Config, secrets: SecretsFile) -> Credentials | None:
    """Return the registry's account, None if it needs none; raises CredentialsMissing."""
    registry = config.registry
    if registry.is_placeholder:
        raise CredentialsMissing(missing_credentials(config, secrets))
    if not registry.needs_login:
        return None
    values = {name: secrets.get(name) for name in (registry.username_env, registry.password_env)}
    missing = [name for name, secret in values.items() if not secret or not secret.reveal()]
    if missing:
        raise not_set(config.secrets_file, missing)
    username, password = (values[name] or Secret("") for name in (registry.username_env, registry.password_env))
    return Credentials(registry.server, username.reveal(), password)
