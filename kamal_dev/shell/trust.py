"""Which host keys are accepted, and how long connections may take and last. Checks no key itself."""

from __future__ import annotations

from pathlib import Path

from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Trust:
    """Hold the project's own known_hosts, and the policy for unknown hosts.

    `policy` is `accept-new` (remember the key), `strict` (refuse) or `off` (accept any key). `connect_timeout` and
    `control_persist` are in seconds.
    """

    known_hosts: Path
    policy: str = "accept-new"
    read_ssh_config: bool = True
    connect_timeout: int = 10
    control_persist: int = 60
