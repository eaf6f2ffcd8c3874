"""Hold what one run of a verb works with: the project, the shells, the output."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from kamal_dev import project as projects
from kamal_dev.model import Host
from kamal_dev.output import Output
from kamal_dev.project import Project
from kamal_dev.shell import Shell
from kamal_dev.shell.local import Local

if TYPE_CHECKING:
    from kamal_dev.shell.remote import Trust


class Run:
    """Give the stages of a verb what they need; everything opened here is closed by `close`."""

    def __init__(self, project: Project, local: Shell, output: Output) -> None:
        self.project = project
        self.local = local
        self.output = output
        self.resources = ExitStack()
        self._remotes: dict[str, Shell] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        folder: Path,
        output: Output,
        *,
        config_path: str | None = None,
        devcontainer_path: str | None = None,
        version: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Run:
        """Read the project that `folder` (absolute) is in. Raises ConfigError and UsageError."""
        local = Local(log=output.step)
        project = projects.load(
            folder,
            shell=local,
            config_path=config_path,
            devcontainer_path=devcontainer_path,
            version=version,
            environment=os.environ if environment is None else environment,
            learn=output.redaction.add,
        )
        return cls(project, local, output)

    @property
    def trust(self) -> Trust:
        """Say which host keys are accepted."""
        from kamal_dev.shell.remote import Trust

        ssh = self.project.config.ssh
        return Trust(self.project.private() / "known_hosts", ssh.known_hosts, ssh.config)

    def remote(self, host: Host) -> Shell:
        """Return the one connection to a host; made on first use."""
        from kamal_dev.shell.remote import Remote

        with self._lock:
            if host.name not in self._remotes:
                remote = Remote(host, self.trust, log=self.output.step)
                self.resources.callback(remote.close)
                self._remotes[host.name] = remote
            return self._remotes[host.name]

    def close(self) -> None:
        """Close every connection and remove every temporary file."""
        self.resources.close()


def scripts() -> dict[str, str]:
    """Return the host scripts by name, without `.sh`."""
    folder = files("kamal_dev") / "host"
    return {item.name.removesuffix(".sh"): item.read_text() for item in folder.iterdir() if item.name.endswith(".sh")}
