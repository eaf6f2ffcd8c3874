"""Addresses of a container for editors. Opens nothing."""

from __future__ import annotations

import json
from urllib.parse import quote


def vscode(container: str, folder: str, host: str) -> str:
    """Return the address under which VS Code attaches to a container on the engine behind `ssh HOST`.

    The authority is hexadecimal JSON; `settings` replace settings of the user, here `docker.host`. Source:
    microsoft/vscode-remote-release#8764, and the addresses that Dev Containers writes.
    """
    authority = json.dumps(
        {"containerName": f"/{container}", "settings": {"host": f"ssh://{host}"}}, separators=(",", ":")
    )
    return f"vscode-remote://attached-container+{authority.encode().hex()}{quote(folder)}"


def vscode_link(uri: str) -> str:
    """Return the same address as a link that the system opens with VS Code."""
    return uri.replace("vscode-remote://", "vscode://vscode-remote/", 1)
