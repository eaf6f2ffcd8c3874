"""What a repository from a URL may not do on this machine until it is trusted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from kamal_dev import compose
from kamal_dev.errors import Problem
from kamal_dev.model import Build
from kamal_dev.model.location import NOWHERE

if TYPE_CHECKING:
    from kamal_dev.compose import Additions
    from kamal_dev.project.project import Project

HARMLESS = ("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TERM", "DOCKER_DEFAULT_PLATFORM")
HINT = "`--trust` allows it, if you trust everyone who can push to the repository"
WARNING = (
    "the repository is not trusted: its initializeCommand, hooks and secrets file are not used, and it sees no "
    "variables of your environment; `--trust` allows them"
)


# Flags of a build that only have an effect on its image.
_SWITCHES = ("--pull", "--no-cache")
_VALUED = ("--label", "--ulimit", "--shm-size", "--add-host", "--no-cache-filter", "--provenance")


def visible(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the part of an environment that a repository that is not trusted sees."""
    return {name: environment[name] for name in HARMLESS if name in environment}


def problems(project: Project) -> Iterator[Problem]:
    """Yield what forbids to deploy a repository that is not trusted."""
    settings, given = project.config, project.home.given
    for key, names in (("secrets", settings.secrets), ("build.secrets", settings.build.secrets)):
        if missing := [name for name in names if name not in given]:
            where = settings.where.get(key, NOWHERE)
            message = f"asks for {', '.join(missing)}, but the repository is not trusted"
            yield Problem(where.path or settings.path, where.line, message, key, where.column)
    if (cache := settings.build.cache) and cache.type != "inline":
        where = settings.where.get("build.cache", NOWHERE)
        message = "writes a cache with your rights, but the repository is not trusted"
        yield Problem(where.path or settings.path, where.line, message, "build.cache", where.column)
    for build in project.builds:
        for what in _wanted(build):
            message = f"the build of `{build.services[0]}` {what}, but the repository is not trusted"
            yield Problem(build.where.path, build.where.line, message, column=build.where.column)
    yield from powers(project, project.additions)


def powers(project: Project, additions: Additions) -> Iterator[Problem]:
    """Yield the settings with which a repository that is not trusted could control this machine."""
    if project.home.is_trusting or not project.config.provider.shares_machine:
        return
    for notice in compose.dangerous(project.compose, additions):
        where = notice.where
        message = f"{notice.message}; the hosts are on this machine, and the repository is not trusted"
        yield Problem(where.path or project.devcontainer.display, where.line, message, column=where.column)


def _wanted(build: Build) -> Iterator[str]:
    """Yield what a build would take from this machine."""
    if build.ssh:
        yield "uses your SSH agent (`ssh`)"
    if names := [secret.environment for secret in build.secrets if secret.environment]:
        yield f"uses {', '.join(names)} of your environment as a secret"
    if names := [name for name, value in build.args if value is None]:
        yield f"takes {', '.join(names)} from your environment"
    if caches := [word for word in build.cache_to if word != "type=inline"]:
        yield f"writes a cache with your rights (`{caches[0]}`)"
    if caches := [word for word in build.cache_from if "type=" in word and "type=registry" not in word.split(",")]:
        yield f"reads a cache with your rights (`{caches[0]}`)"
    if flag := next(_unusual(build.options), ""):
        yield f"uses the flag `{flag}` of buildx"


def _unusual(options: tuple[str, ...]) -> Iterator[str]:
    """Yield the words that are no flag with an effect on the image only: others write files or read secrets here."""
    words = iter(options)
    for word in words:
        flag, equals, _ = word.partition("=")
        if flag in _VALUED and not equals:
            next(words, None)
        elif flag not in _VALUED and flag not in _SWITCHES:
            yield flag
