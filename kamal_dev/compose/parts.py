"""Hashes of the parts of each container in a release; a host uses them to explain why it replaces one. Reads no file.

A line is a service, a part and a hash, separated by tabs. The part is a key of the service, for `environment` with
the variable's name. The hashed values may be secret: keep the lines next to the `.env` of the release, and nowhere
else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from kamal_dev.compose import dotenv, layout, marks
from kamal_dev.compose.compose_project import ComposeProject
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.release import Rewritten
from kamal_dev.compose.value import Scope, Value
from kamal_dev.errors import ComposeError
from kamal_dev.model import Location, Release

# Compose creates the same container whatever these say.
_WITHOUT_EFFECT = frozenset(("build", "pull_policy", "scale", "profiles", "develop"))
FILES = "kamal-dev.files"


def of_services(project: ComposeProject, ready: Rewritten, release: Release) -> str:
    """Return the lines for every service of a release that was rendered from `ready`."""
    texts = {file.path: file.content.decode() for file in release.files if file.path in (layout.OVERLAY, layout.ENV)}
    variables = dotenv.parse(texts[layout.ENV], layout.ENV, lambda _: None)
    model = _model(project, ready, texts[layout.OVERLAY], variables)
    services = model.at("services")
    written = services.items if services is not None else {}
    salt = hashlib.sha256(release.stack.encode()).digest()
    lines = [
        f"{name}\t{part}\t{hashlib.blake2b(_text(value), digest_size=8, key=salt).hexdigest()}"
        for name, service in written.items()
        for part, value in (
            *_parts(name, service, project, variables),
            *_mounted(service, model, variables),
        )
    ]
    return "\n".join(sorted(lines))


def _model(project: ComposeProject, ready: Rewritten, overlay: str, variables: Mapping[str, str]) -> Value:
    """Return the meaning of the release's files with the variables of its own `.env`."""
    over = project.places.top / layout.OVERLAY
    own, outside = project.reader, project.reader.allow_outside
    laid = {**ready.texts, over: overlay}
    reader = ComposeReader(own.tree, project.repository, laid, allow_outside=outside)
    scope = Scope(project.scope.base, {**project.scope.variables, **variables})
    tops = tuple(file.path for file in project.top_files)
    for path in (*tops, over):
        reader.file(path, "top", Location(""))
    return reader.read((*tops, over), scope)


def _parts(
    name: str, service: Value, project: ComposeProject, variables: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    environment = service.at("environment")
    set_here = environment.items if environment is not None else {}
    for key, value in service.items.items():
        if key in _WITHOUT_EFFECT or key.startswith("x-"):
            continue
        if key == "environment" and value.items:
            # A variable without a value, such as a secret, takes the value in `.env`.
            own = {variable: item.plain() for variable, item in value.items.items()}
            yield from ((f"{key}.{item}", variables.get(item) if text is None else text) for item, text in own.items())
        elif key == "labels" and FILES in value.items:
            yield "files", value.items[FILES].plain()
            yield key, {label: item.plain() for label, item in value.items.items() if label != FILES}
        else:
            yield key, value.plain()
    for travel in project.travels:
        if travel.role == "env_file" and name in travel.services:
            set_there = _env_file(travel.content.decode(errors="replace"))
            yield from ((f"environment.{key}", text) for key, text in set_there.items() if key not in set_here)


def _mounted(service: Value, model: Value, variables: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    """Yield the variables of mounted configs and secrets; variables of the environment have their own parts."""
    environment = service.at("environment")
    own = environment.items if environment is not None else {}
    for name in marks.mounted_variables(service, model):
        if name not in own:
            yield f"environment.{name}", variables.get(name)


def _env_file(text: str) -> Mapping[str, str]:
    """Return what a file sets, as far as it can be told without Compose; otherwise everything under one name."""
    try:
        return dotenv.parse(text, "", lambda _: None)
    except ComposeError:
        return {"*": text}


def _text(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, default=str).encode()
