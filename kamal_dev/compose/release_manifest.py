"""The `manifest.json` of a release: a description for people on the host.

Programs read its `ref`, and for a named stack `listed` (its services) and `devcontainer`: the project where `dev` runs
may have others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kamal_dev.compose import binds, layout, listing, service
from kamal_dev.compose.additions import Additions
from kamal_dev.compose.compose_project import ComposeProject
from kamal_dev.compose.mounts import Mounted
from kamal_dev.compose.travels import READABLE
from kamal_dev.model import File, Image, Version


def entries(
    project: ComposeProject,
    stack: str,
    version: Version,
    images: Mapping[str, Image],
    additions: Additions,
    mounted: Mounted,
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything but the digest. `services` are those to start; empty means all.

    `source` is the `ref` of a named stack, its `repository` and its `devcontainer`; the host reads `ref`.
    """
    named = {name: value for name, value in source.items() if name != "devcontainer"}
    running = service.started(project.services, additions.run_services)
    bound = [
        bind
        for bind in (*project.binds, *mounted.binds)
        if bind.is_workspace and not (additions.without_source and binds.is_source(bind, project.repository))
    ]
    return {
        "stack": stack,
        **named,
        "service": additions.service,
        "version": version.text,
        "commit": version.commit,
        "project": stack,
        "main": additions.main,
        "files": [*(project.places.of_compose(file.path) for file in project.top_files), layout.OVERLAY],
        "images": {name: str(image) for name, image in images.items()},
        "third_party": sorted({item.image for item in running if item.image and not item.built_as}),
        "services": list(additions.run_services),
        "one_shots": [item.name for item in running if item.is_one_shot],
        "workspace": {
            "repository": project.repository.name,
            # The parent of the repository is only useful with the repository in it.
            "folders": sorted({bind.folder or project.repository.name for bind in bound}),
        },
        **_of_named(project, additions.main, source),
    }


def _of_named(project: ComposeProject, main: str, source: Mapping[str, Any]) -> dict[str, Any]:
    if "devcontainer" not in source:
        return {}
    listed = [item.as_json() for item in listing.services(project, {}, main)]
    return {"listed": listed, "devcontainer": source["devcontainer"]}


def lasting(manifest: Mapping[str, Any], images: Mapping[str, Image]) -> File:
    """Return what stays the same if another version has the same content: no version, no tag.

    The address of a repository differs between the people who deploy from it.
    """
    kept = {key: value for key, value in manifest.items() if key not in ("version", "commit", "repository")}
    return file({**kept, "images": {name: image.pinned for name, image in images.items()}})


def file(manifest: Mapping[str, Any]) -> File:
    """Return the manifest as a file."""
    return File(layout.MANIFEST, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode(), READABLE)
