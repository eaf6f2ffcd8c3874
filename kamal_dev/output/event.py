"""An event, as a value. Nothing here shows it or decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field, fields
from datetime import datetime, timezone
from typing import Any, Literal

from kamal_dev.values import dataclass

SCHEMA = 1

Phase = Literal[
    "checking",
    "initializing",
    "hook",
    "building",
    "packing",
    "registry",
    "pushing",
    "provisioning",
    "connecting",
    "bootstrapping",
    "pulling",
    "transferring",
    "sending_source",
    "fetching",
    "copying",
    "uploading",
    "creating",
    "starting",
    "observing",
    "lifecycle",
    "stopping",
    "rolling_back",
    "locking",
    "deploying",
    "restarting",
    "scaling",
    "removing",
    "pruning",
    "backing_up",
    "restoring",
    "moving",
    "opening",
    "forwarding",
    "recording",
]
Status = Literal["started", "progress", "output", "done", "skipped", "failed", "info", "warning", "step"]
Category = Literal[
    "usage",
    "config",
    "source",
    "engine",
    "command",
    "build",
    "registry",
    "provider",
    "host",
    "network",
    "lock",
    "disk",
    "service",
    "lifecycle",
    "stacks",
    "interrupted",
]
Unit = Literal["", "bytes", "layers", "steps", "images"]


@dataclass(frozen=True)
class Event:
    """One thing that happened.

    `stack` and `host` (an address) are empty for this machine. `subject` is what a phase is about: an image, a
    command, a version. A `started` event is ended by a later `done`, `skipped` or `failed` with the same phase and
    stack; `seconds` is the duration. `message` is a line of output, a reason, or a notice. `step` is a command before
    it runs. `log` holds the last lines of what failed.
    """

    phase: Phase
    status: Status
    stack: str = ""
    host: str = ""
    service: str = ""
    subject: str = ""
    current: int | None = None
    total: int | None = None
    unit: Unit = ""
    seconds: float | None = None
    message: str = ""
    category: Category | None = None
    retryable: bool | None = None
    hint: str = ""
    left_behind: str = ""
    log: tuple[str, ...] = ()
    time: str = field(default="", compare=False)

    def as_json(self) -> Mapping[str, Any]:
        """Return the event as a line of `--json`, without unknown fields."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        known = {name: value for name, value in values.items() if value not in ("", None, ())}
        if self.seconds is not None:
            known["seconds"] = round(self.seconds, 3)
        return {"type": "event", "schema": SCHEMA, **known}


def now() -> str:
    """Return the current time in UTC, in the format of RFC 3339."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
