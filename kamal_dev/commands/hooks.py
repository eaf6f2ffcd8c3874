"""Describe the hooks of a project: their names and their variables. Runs nothing.

The names of hooks and of the `KAMAL_*` variables are those of Kamal, so that one folder works with both.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kamal_dev.model import Secret, Step
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

FOLDER = ".kamal/hooks"
HEALTH = "health"
BACKUP = "backup"
NAMES = (
    *("pre-connect", "pre-build", "post-build", "docker-setup", "pre-deploy", HEALTH, "post-deploy", "post-rollback"),
    BACKUP,
)
WITH_SECRETS = ("pre-deploy", "post-deploy")

_COMMIT = pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ABBREVIATED = 7


@dataclass(frozen=True)
class Details:
    """Hold the variables of a hook; empty ones are not set, like in Kamal.

    `recorded_at` is UTC, ISO 8601; `hosts` are addresses, `stacks` names; `runtime` is in whole seconds; `result` is
    how the verb ended.
    """

    recorded_at: str
    performer: str
    version: str
    service: str
    command: str
    hosts: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    runtime: str = ""
    result: str = ""

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """The environment: Kamal's variables under both names, ours only as `DEV_*`."""
        shared = {
            "RECORDED_AT": self.recorded_at,
            "PERFORMER": self.performer,
            "VERSION": self.version,
            "SERVICE": self.service,
            "SERVICE_VERSION": f"{self.service}@{_abbreviated(self.version)}" if self.version else "",
            "HOSTS": ",".join(self.hosts),
            "COMMAND": self.command,
            "RUNTIME": self.runtime,
        }
        own = {"STACKS": ",".join(self.stacks), "RESULT": self.result}
        pairs = (
            *((f"KAMAL_{name}", text) for name, text in shared.items()),
            *((f"DEV_{name}", text) for name, text in {**shared, **own}.items()),
        )
        return tuple((name, text) for name, text in pairs if text)


def hook(root: Path, name: str, details: Details, secrets: Iterable[tuple[str, Secret]] = ()) -> Step:
    """Return the step that runs a hook of the project at `root` directly, without a shell."""
    environment: tuple[tuple[str, str | Secret], ...] = (*secrets, *details.environment)
    return Step((str(root / FOLDER / name),), environment=environment, cwd=root, label=f"{FOLDER}/{name}")


def _abbreviated(version: str) -> str:
    return version[:_ABBREVIATED] if _COMMIT.fullmatch(version) else version
