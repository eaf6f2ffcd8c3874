"""The story of `dev open`: print where an editor finds a stack's container, and start the editor."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from kamal_dev.commands import editor
from kamal_dev.errors import DevError, UsageError
from kamal_dev.model import Step
from kamal_dev.pipeline.hosts.stack_projects import projects
from kamal_dev.pipeline.hosts.target import find, one
from kamal_dev.pipeline.run.run import Run
from kamal_dev.shell import ssh_config
from kamal_dev.values import dataclass

EDITOR = "code"
STARTING = 60.0


@dataclass(frozen=True)
class Address:
    """Hold where an editor finds a container: `host` is a name for ssh, `folder` a path in the container."""

    stack: str
    host: str
    container: str
    folder: str
    uri: str
    is_known: bool
    config: Path

    def as_json(self) -> dict[str, Any]:
        """Return the address for `--json`."""
        link = editor.vscode_link(self.uri)
        return {
            "stack": self.stack,
            "host": self.host,
            "container": self.container,
            "folder": self.folder,
            "uri": self.uri,
            "link": link,
        }


def address(run: Run, name: str | None) -> Address:
    """Return the address of a stack's main container for an editor; writes the file that lets ssh find the host."""
    name, target = one(run.stacks, name, run.project.config.service)
    project = projects(run.project, run.connections, {name: target})[name]
    place = find(project, run.connections, name, target)
    folder = project.devcontainer.workspace_folder
    config = run.ssh_config
    ssh_config.write(config, ssh_config.text(run.stacks.items(), run.trust, config))
    return Address(
        name,
        name,
        place.name,
        folder,
        editor.vscode(place.name, folder, name),
        ssh_config.is_included(name, target, run.trust),
        config,
    )


def open_editor(run: Run, address: Address, command: str | None) -> None:
    """Start a VS Code-like editor at an address; without `command`, the installed one, if any.

    Raises DevError if ssh does not know the host yet, or the editor fails.
    """
    program = shutil.which(command or EDITOR)
    if program is None:
        if command:
            raise UsageError(f"program not found: `{command}`", hint="`--print` only prints the address")
        run.output.info(f"there is no `{EDITOR}` on this machine to open it; `dev ssh {address.stack}`")
        return
    if not address.is_known:
        raise DevError(
            f"ssh does not know the host `{address.host}` yet, so editors cannot connect to it",
            hint=f"add this line at the top of ~/.ssh/config: {ssh_config.include(address.config)}",
        )
    result = run.local.run(Step((program, "--folder-uri", address.uri)), timeout=STARTING)
    if not result:
        raise DevError(f"`{command or EDITOR}` exited {result.exit_code}: {result.tail(3)}")
    run.output.done("opening", f"`{address.folder}` of {address.stack} in `{command or EDITOR}`")
