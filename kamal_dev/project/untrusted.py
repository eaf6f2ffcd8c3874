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
    if any("type=local" in word for word in build.cache_to):
        yield "writes its cache to a folder of this machine"
    if "--allow" in build.options:
        yield "asks for privileges (`entitlements`)"
