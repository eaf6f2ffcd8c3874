"""Say whose host keys are accepted, and how long a host has to show its own. Checks none itself."""

from __future__ import annotations

from pathlib import Path

from kamal_dev.values import dataclass


@dataclass(frozen=True)
class Trust:
    """Hold the project's own known_hosts, and what to do with a host that nobody has met.

    `policy` is `accept-new` (remember it), `strict` (refuse it) or `off` (accept any key);
    `connect_timeout` is in seconds.
    """

    known_hosts: Path
    policy: str = "accept-new"
    read_ssh_config: bool = True
    connect_timeout: int = 10
