"""The two that are measured. Each brings the same commit up on the same hosts."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.real.lab import DEV, Host, Repository

SCRIPT = Path(__file__).with_name("by_hand.sh")


@dataclass(frozen=True)
class Time:
    """Seconds of wall clock, and those in which a processor worked for the command itself, without the engine here."""

    seconds: float
    worked: float


class Contender(Protocol):
    """Deploys the commit that is checked out; every method returns how long it took."""

    name: str

    def build(self) -> Time: ...
    def deploy(self) -> Time: ...
    def skip_build(self) -> Time: ...
    def give_source(self) -> None: ...


class Dev:
    """`dev deploy`, with the SSH connections of its previous run if that was less than a minute ago."""

    name = "dev deploy"

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def build(self) -> Time:
        return self._run("build")

    def deploy(self) -> Time:
        return self._run("deploy")

    def skip_build(self) -> Time:
        return self._run("deploy", "--skip-build")

    def give_source(self) -> None:
        """From the next deploy on, give workspaces the source too."""
        path = self._repository.root / "config/dev.yml"
        self._repository.commit({"config/dev.yml": path.read_text().replace("source: none", "source: git")})

    def _run(self, *words: str) -> Time:
        return timed((DEV, *words), self._repository.root, self._repository.variables())


class ByHand:
    """The shell script."""

    name = "by hand"

    def __init__(self, repository: Repository, registry: str, hosts: tuple[Host, ...]) -> None:
        self._root = repository.root
        config = repository.temporary.parent / "ssh_config"
        config.write_text("".join(map(_entry, hosts)))
        self._environment = {
            **os.environ,
            "REGISTRY": registry,
            "PROJECT": f"{repository.service}-by-hand",
            "HOSTS": " ".join(host.name for host in hosts),
            "SSH_CONFIG": str(config),
        }

    def build(self) -> Time:
        return self._run("build")

    def deploy(self) -> Time:
        return self._run("deploy")

    def skip_build(self) -> Time:
        return self._run("release")

    def give_source(self) -> None:
        """From the next deploy on, give hosts the source too."""
        self._environment["SOURCE"] = "git"

    def _run(self, word: str) -> Time:
        return timed((str(SCRIPT), word), self._root, self._environment)


def _entry(host: Host) -> str:
    lines = (
        f"Host {host.name}",
        "HostName 127.0.0.1",
        f"Port {host.port}",
        "User root",
        f"IdentityFile {host.key}",
        "IdentitiesOnly yes",
        "StrictHostKeyChecking accept-new",
        f"UserKnownHostsFile {host.key.parent}/known_hosts_by_hand",
        "ControlMaster no",
        "LogLevel ERROR",
    )
    return "\n  ".join(lines) + "\n"


def timed(argv: tuple[str, ...], folder: Path, environment: dict[str, str]) -> Time:
    """Run a command that must succeed, and return its times."""
    before, started = _worked(), time.monotonic()
    ended = subprocess.run(argv, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    seconds = time.monotonic() - started
    if ended.returncode:
        raise SystemExit(f"{' '.join(argv)} exited {ended.returncode}:\n{ended.stdout}\n{ended.stderr}")
    return Time(seconds, _worked() - before)


def _worked() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
