"""Make the name of an image from configuration and version. Looks nothing up."""

from __future__ import annotations

import re

from kamal_dev.config.problems import show
from kamal_dev.config.settings import Config
from kamal_dev.errors import ConfigError, Problem
from kamal_dev.model import Image, Version
from kamal_dev.pattern import pattern

PLACEHOLDER_USER = "USER"
SUFFIX = "-dev"

# Distribution reference grammar, github.com/distribution/reference.
_PART = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = pattern(rf"{_PART}(/{_PART})*")
_TAG = pattern(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_HUB = ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com")


def image(config: Config, version: Version, service: str = "") -> Image:
    """Name the image of a service; the empty name is the main one.

    `{server}/{user}/{service}-dev:{version}`, without the suffix if the service's name ends with it, or `image.name`
    as repository; other services append `-{service}`. An unknown user name becomes `USER`, which no engine accepts
    (see missing_credentials). Raises ConfigError if a part is invalid in an image's name.
    """
    server, repository = _repository(config)
    if service:
        repository += f"-{service.lower()}"
        _ensure_repository(config, repository.replace(PLACEHOLDER_USER, "user"), f"services.{service}")
    return Image(server, repository, tag(version.text))


def tag(text: str) -> str:
    """Return a tag unchanged; raises ConfigError if it is invalid."""
    if len(text) > 128:
        raise ConfigError(Problem("", 0, f"the version {show(text)} is longer than the 128 characters of an image tag"))
    if not _TAG.fullmatch(text):
        rule = "letters, digits, `_`, `.` and `-`, not starting with `.` or `-`"
        raise ConfigError(Problem("", 0, f"the version {show(text)} is not a valid image tag: {rule}"))
    return text


def server_of(text: str) -> str:
    """Normalize a registry's address for comparisons and logins."""
    text = text.lower()
    return "docker.io" if text in _HUB else text


def split(name: str) -> tuple[str, str]:
    """Split an image's name into server (empty if it has none) and repository.

    The first part is a server if it has a dot or a colon, or is `localhost`: Docker's own rule. Raises ValueError
    with the reason.
    """
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first == "localhost"):
        first, rest = "", name
    if "@" in rest or ":" in rest:
        message = f"{show(name)} has a tag or digest, but it names the image that is built and pushed, whose tag is the"
        raise ValueError(f"{message} version; the image to build from belongs in devcontainer.json or the Dockerfile")
    if not _REPOSITORY.fullmatch(rest):
        raise ValueError(f"{show(name)} is not a valid image name: lower-case letters, digits, `.`, `_`, `-` and `/`")
    if first and not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", first):
        raise ValueError(f"{show(name)} does not start with a registry address")
    return server_of(first), rest


def _repository(config: Config) -> tuple[str, str]:
    """Return server and repository of the main service's image."""
    registry, name = config.registry, config.image.name
    if name:
        try:
            server, repository = split(name)
        except ValueError as error:
            raise _refused(config, "image.name", str(error)) from None
        if server or "/" in repository:
            return server or registry.server, repository
        return registry.server, _with_user(config, repository)
    suffix = "" if f"-{config.service}".endswith(SUFFIX) else SUFFIX
    return registry.server, _with_user(config, f"{config.service}{suffix}")


def _with_user(config: Config, repository: str) -> str:
    """Prefix the registry's user, if the registry has users."""
    registry = config.registry
    if not registry.needs_login or not registry.username_env:
        return _ensure_repository(config, repository, "service")
    user = registry.username.lower()
    if user and not re.fullmatch(_PART, user):
        message = f"the user name in {registry.username_env} cannot be part of an image name; set `image.name`"
        raise _refused(config, "registry.username_env", message)
    _ensure_repository(config, f"{user or 'user'}/{repository}", "service")
    return f"{user or PLACEHOLDER_USER}/{repository}"


def _ensure_repository(config: Config, repository: str, key: str) -> str:
    if not _REPOSITORY.fullmatch(repository):
        raise _refused(config, key, f"{show(repository)} is not a valid image name in a registry")
    if len(repository) > 200:
        raise _refused(config, key, f"{show(repository)} is too long for an image name in a registry")
    return repository


def _refused(config: Config, key: str, message: str) -> ConfigError:
    where = config.where.get(key)
    return ConfigError(Problem(config.path, where.line if where else 0, message, key))
