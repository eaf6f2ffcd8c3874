"""Every error that a user can meet, as one tree. Nothing here prints or exits.

    DevError                      1  base: message, hint, left_behind
    ├── UsageError                2  an invalid flag or argument
    ├── ConfigError               2  config/dev.yml or .kamal/secrets; carries problems
    │   ├── DevcontainerError     2  devcontainer.json
    │   ├── ComposeError          2  a compose file
    │   └── CredentialsMissing    2  a variable that the configuration names is not set
    ├── GitFailed                 1  git failed, or is not installed although there is a `.git`; carries its message
    ├── SourceChanged             1  a source file changed during the build
    ├── EngineError               1  local Docker or the devcontainer CLI is missing or not responding
    ├── InitializeFailed          1  initializeCommand ended with an error; carries its last lines
    ├── HookFailed                1  one of .kamal/hooks ended with an error; carries its last lines
    ├── BuildFailed               1  buildx ended with an error; carries its last lines
    ├── NothingBuilt              1  an image that should exist does not
    ├── RegistryError             1  login refused, push failed
    │   └── RegistryUnknown       1  a registry did not respond, or not in a known format; carries the cause
    ├── ProviderError             1  a host could not be created, found or destroyed
    ├── HostError                 1  one host's failure; carries the host's name
    │   ├── HostUnreachable       1  no TCP connection, banner or authentication
    │   ├── HostKeyChanged        1  the host's key is not the known one
    │   ├── NoAnswer              1  the output was not that of the command: the result is unknown
    │   ├── HostTimeout           1  no answer within the deadline: state unknown
    │   ├── LinkDropped           1  the connection was lost during a step
    │   ├── LockHeld              1  the stack was still locked after `deploy.lock_wait`
    │   ├── StackRemoved          1  somebody removed the stack while it was being deployed
    │   ├── BootstrapFailed       1  Docker could not be installed or started
    │   ├── PullFailed            1  an image could not be pulled
    │   ├── DiskFull              1  no disk space for images
    │   ├── ServiceFailed         1  a service did not stay up
    │   └── LifecycleFailed       1  a lifecycle command failed in a container that runs
    ├── SomeHostsFailed           1  the summary of a run in which hosts failed
    ├── Declined                  1  a question was answered with no
    └── Interrupted             130  Ctrl-C or SIGTERM

The number is the exit code. A message says where and what, the hint what to do next.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from typing import Any

from kamal_dev.values import dataclass


class DevError(Exception):
    """Carry one message for the user: what happened, what was left behind, what to do.

    `left_behind` describes what this run has changed and not reverted; empty means nothing. `plan` is the plan being
    carried out, in the form of `--json`; None before there was one.
    """

    exit_code = 1
    plan: Mapping[str, Any] | None = None

    def __init__(self, message: str, *, hint: str = "", left_behind: str = "") -> None:
        # A host or a program may fail without a message.
        message = message if message.strip() else f"{type(self).__name__}, without a reason"
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.left_behind = left_behind


class UsageError(DevError):
    """Refuse a flag or argument."""

    exit_code = 2


@dataclass(frozen=True, order=True)
class Problem:
    """Hold one problem in a file that the user wrote.

    `path` is relative to the repository; `line` and `column` count from 1, or are 0 if unknown; `key` is the dotted
    path of the offending key, empty if there is none.
    """

    path: str
    line: int
    message: str
    key: str = ""
    column: int = 0

    def __str__(self) -> str:
        where = self.path
        if self.line:
            where += f":{self.line}"
        if self.line and self.column:
            where += f":{self.column}"
        return ": ".join(part for part in (where, self.key, self.message) if part)


class ConfigError(DevError):
    """Reject what the user wrote, listing all problems at once."""

    exit_code = 2

    def __init__(self, problems: Problem | Iterable[Problem], *, hint: str = "", left_behind: str = "") -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)), hint=hint, left_behind=left_behind)


class DevcontainerError(ConfigError):
    """Reject a devcontainer.json."""


class ComposeError(ConfigError):
    """Reject a compose file."""


class CredentialsMissing(ConfigError):
    """Name a variable that is not set, and the file to set it in."""


class GitFailed(DevError):
    """Report the message of a git command that failed."""


class SourceChanged(DevError):
    """Report that the source no longer matches its version."""


class EngineError(DevError):
    """Report that local Docker, or a tool that builds with it, is missing, incomplete or not answering."""


class InitializeFailed(DevError):
    """Report a failed initializeCommand; the message ends with its last lines."""


class HookFailed(DevError):
    """Report a failed hook of .kamal/hooks; the message ends with its last lines."""


class BuildFailed(DevError):
    """Report a failed build; the message ends with its last lines."""


class NothingBuilt(DevError):
    """Name an image that should exist but does not."""


class RegistryError(DevError):
    """Report a refused login or a failed push."""


class RegistryUnknown(RegistryError):
    """Report that a registry did not say what it has. `cause` is a word of commands/refusal.py."""

    def __init__(self, message: str, *, hint: str = "", left_behind: str = "", cause: str = "") -> None:
        super().__init__(message, hint=hint, left_behind=left_behind)
        self.cause = cause


class ProviderError(DevError):
    """Report a host that could not be created, found or destroyed."""


class HostError(DevError):
    """Report what went wrong on one host."""

    def __init__(self, host: str, message: str, *, hint: str = "", left_behind: str = "") -> None:
        super().__init__(message, hint=hint, left_behind=left_behind)
        self.host = host


class HostUnreachable(HostError):
    """Report a host that could not be connected to or logged in to."""


class HostKeyChanged(HostError):
    """Reject a host whose key differs from the known one."""


class NoAnswer(HostError):
    """Report a host's state as unknown: the answer was incomplete, or something else answered."""


class HostTimeout(HostError):
    """Report a host's state as unknown: it did not answer before the deadline."""


class LinkDropped(HostError):
    """Report that the connection was lost before the step's exit code arrived."""


class LockHeld(HostError):
    """Report a stack that is locked by another run."""


class StackRemoved(HostError):
    """Report a stack that somebody removed while it was being deployed."""


class BootstrapFailed(HostError):
    """Report a host on which Docker could not be set up."""


class PullFailed(HostError):
    """Report an image that did not arrive on the host."""


class DiskFull(HostError):
    """Report a host without enough disk space for images."""


class ServiceFailed(HostError):
    """Report the services that did not stay up."""


class LifecycleFailed(HostError):
    """Report failed lifecycle commands; the containers are running."""


class SomeHostsFailed(DevError):
    """Sum up a run in which at least one host failed."""


class Declined(DevError):
    """End a run because a question was answered with no, before anything was done."""

    def __init__(self) -> None:
        super().__init__("cancelled, nothing was changed on any host")


class Interrupted(DevError):
    """End a run that the user or the system stopped."""

    exit_code = 130


def hint_for(error: OSError, otherwise: str) -> str:
    """Return what to do about a file on this machine that cannot be written."""
    return "free disk space on this machine" if error.errno in (errno.ENOSPC, errno.EDQUOT) else otherwise
