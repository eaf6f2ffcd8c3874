"""Write a devcontainer without compose files as a compose file with one service."""

from __future__ import annotations

import posixpath
from typing import Any

from kamal_dev.devcontainer import mount_options
from kamal_dev.devcontainer.configuration import SERVICE, Devcontainer, Mount
from kamal_dev.devcontainer.workspace_folder import DevcontainerPaths
from kamal_dev.errors import DevcontainerError, Problem
from kamal_dev.syntax.emitter import dump


def as_compose(devcontainer: Devcontainer) -> str:
    """Return the text of a compose file next to devcontainer.json.

    It has the image or build, the workspace, and the settings of `runArgs` and `appPort`. What every main service
    gets in addition (environment, user, `mounts` …) is added later. Raises DevcontainerError without an image and a
    Dockerfile.
    """
    if devcontainer.kind not in ("image", "dockerfile"):
        place = devcontainer.where("dockerComposeFile")
        raise DevcontainerError(
            Problem(place.path, place.line, "has no `image` and no `build.dockerfile`", column=place.column),
            hint="a devcontainer with `dockerComposeFile` is its own compose project",
        )
    mounted = [mount for mount in (devcontainer.workspace, *devcontainer.translation.mounts) if mount]
    service = {**_source(devcontainer), **devcontainer.translation.service}
    if mounted:
        service["volumes"] = [_volume(mount, devcontainer) for mount in mounted]
    top: dict[str, Any] = {"services": {SERVICE: service}}
    if networks := devcontainer.translation.networks:
        top["networks"] = dict(networks)
    if volumes := _named(mounted):
        top["volumes"] = volumes
    return f"# Generated from {devcontainer.display}\n{dump(_literal(top))}"


def _source(devcontainer: Devcontainer) -> dict[str, Any]:
    if devcontainer.kind == "image":
        return {"image": devcontainer.image}
    context = str(devcontainer.context)
    build: dict[str, Any] = {
        "context": _local(context, devcontainer),
        # Compose resolves dockerfile relative to context
        "dockerfile": posixpath.relpath(str(devcontainer.dockerfile), context),
    }
    if devcontainer.target:
        build["target"] = devcontainer.target
    if devcontainer.build_args:
        build["args"] = dict(devcontainer.build_args)
    if devcontainer.cache_from:
        build["cache_from"] = list(devcontainer.cache_from)
    return {"build": build}


def _volume(mount: Mount, devcontainer: Devcontainer) -> dict[str, Any]:
    item = mount_options.volume(mount)
    if mount.type == "bind":
        item["source"] = _local(mount.source, devcontainer)
    return item


def _named(mounted: list[Mount]) -> dict[str, Any]:
    """Declare the volumes that mounts name; an absolute source is not a name."""
    named = [mount for mount in mounted if mount.type == "volume" and mount.source]
    return {mount.source: mount_options.definition(mount) for mount in named}


def _local(path: str, devcontainer: Devcontainer) -> str:
    return DevcontainerPaths(devcontainer.path, devcontainer.root, devcontainer.repository).local(path)


def _literal(item: Any) -> Any:
    """Double each `$` in the values, so that Compose reads them literally."""
    if isinstance(item, dict):
        return {key: _literal(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_literal(value) for value in item]
    return item.replace("$", "$$") if isinstance(item, str) else item
