"""The story of `dev config`: print everything that the other verbs use, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from kamal_dev.model import Secret
from kamal_dev.project import Project

HIDDEN = {"where", "notices", "path", "local_path"}


def resolved(project: Project) -> dict[str, Any]:
    """Return the configuration, the devcontainer and the version; secrets print as `[redacted]`."""
    return {
        "service": project.config.service,
        "version": str(project.version),
        "repository": str(project.source.repository),
        "files": [path for path in (project.config.path, project.config.local_path) if path],
        "config": plain(project.config),
        "devcontainer": project.devcontainer.configuration,
        "workspace": _workspace(project),
        "notices": [str(notice) for notice in (*project.config.notices, *project.devcontainer.notices)],
    }


def _workspace(project: Project) -> dict[str, str]:
    """Return what the devcontainer CLI prints as `workspace`."""
    configuration = project.devcontainer
    mount = {} if configuration.workspace_mount is None else {"workspaceMount": configuration.workspace_mount}
    return {"workspaceFolder": configuration.workspace_folder, **mount}


def plain(value: Any) -> Any:
    """Turn a value of this package into plain JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value) if field.name not in HIDDEN}
    if isinstance(value, Mapping):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path | Secret) else value
