"""Sort errors into categories, for programs and tables: one table for the whole tree of `errors.py`."""

from __future__ import annotations

from kamal_dev import errors
from kamal_dev.output.event import Category
from kamal_dev.values import dataclass


@dataclass(frozen=True)
class FailureKind:
    """Describe a class of errors; `retryable` means that the same command may succeed without any change."""

    category: Category
    retryable: bool
    headline: str


KINDS: dict[type[errors.DevError], FailureKind] = {
    errors.DevError: FailureKind("command", False, "failed"),
    errors.UsageError: FailureKind("usage", False, "invalid arguments"),
    errors.ConfigError: FailureKind("config", False, "invalid configuration"),
    errors.DevcontainerError: FailureKind("config", False, "invalid devcontainer.json"),
    errors.ComposeError: FailureKind("config", False, "invalid compose file"),
    errors.CredentialsMissing: FailureKind("config", False, "missing variable"),
    errors.GitFailed: FailureKind("source", False, "git failed"),
    errors.SourceChanged: FailureKind("source", True, "source changed"),
    errors.EngineError: FailureKind("engine", True, "Docker failed"),
    errors.InitializeFailed: FailureKind("command", False, "initializeCommand failed"),
    errors.HookFailed: FailureKind("command", False, "hook failed"),
    errors.BuildFailed: FailureKind("build", False, "build failed"),
    errors.NothingBuilt: FailureKind("build", False, "image not built"),
    errors.RegistryError: FailureKind("registry", False, "registry refused"),
    errors.RegistryUnknown: FailureKind("registry", True, "registry did not answer"),
    errors.ProviderError: FailureKind("provider", True, "provider failed"),
    errors.HostError: FailureKind("host", False, "failed"),
    errors.HostUnreachable: FailureKind("network", True, "host unreachable"),
    errors.HostKeyChanged: FailureKind("host", False, "host key changed"),
    errors.NoAnswer: FailureKind("host", True, "host did not answer"),
    errors.HostTimeout: FailureKind("network", True, "timed out"),
    errors.LinkDropped: FailureKind("network", True, "connection lost"),
    errors.LockHeld: FailureKind("lock", True, "stack is locked"),
    errors.StackRemoved: FailureKind("host", True, "stack was removed"),
    errors.BootstrapFailed: FailureKind("host", True, "Docker not installed"),
    errors.PullFailed: FailureKind("registry", True, "image not pulled"),
    errors.DiskFull: FailureKind("disk", False, "disk full"),
    errors.ServiceFailed: FailureKind("service", False, "service failed"),
    errors.LifecycleFailed: FailureKind("lifecycle", False, "lifecycle command failed"),
    errors.SomeHostsFailed: FailureKind("stacks", False, "failed"),
    errors.Declined: FailureKind("interrupted", True, "cancelled"),
    errors.Interrupted: FailureKind("interrupted", True, "interrupted"),
}


def kind(error: errors.DevError) -> FailureKind:
    """Return the kind of an error: the one of its class, or of the nearest base class that has one."""
    return next(KINDS[each] for each in type(error).__mro__ if each in KINDS)


@dataclass(frozen=True)
class Failure:
    """Hold what went wrong: what happened, what was left behind, what to do, and whether a retry may help."""

    category: Category
    retryable: bool
    message: str
    hint: str = ""
    left_behind: str = ""

    @classmethod
    def of(cls, error: errors.DevError) -> Failure:
        """Return an error as a failure."""
        known = kind(error)
        return cls(known.category, known.retryable, error.message, error.hint, error.left_behind)
