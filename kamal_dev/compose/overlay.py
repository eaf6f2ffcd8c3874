"""The one file that is laid over the user's: images, workspace, and what the main service gets besides.

Nothing that the user wrote is repeated but for the volumes whose source is another
one on a host, because Compose replaces a volume of the same target as a whole, and
for ports, because Compose would publish one with another address as a second one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kamal_dev.compose import binds, entrypoint, interpolate, layout, limits, node, place, ports, profiles, volume
from kamal_dev.compose.additions import Additions
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.mounts import Mounted
from kamal_dev.compose.project import ComposeProject
from kamal_dev.compose.value import Value
from kamal_dev.compose.yaml import Tagged, dump
from kamal_dev.model import Image

MAIN = "kamal-dev.main"
FILES = "kamal-dev.files"

HEADER = "# Laid over the files above by kamal-dev; made anew with every release.\n"


@dataclass(frozen=True)
class OverlayInputs:
    """Say what the overlay is to bring about.

    `images` has every service that runs a built image; `marks` maps services to what
    stands for the content of the files they mount.
    """

    project: ComposeProject
    stack: str
    images: Mapping[str, Image]
    additions: Additions
    mounted: Mounted
    marks: Mapping[str, str]

    @property
    def root(self) -> str:
        """The workspace folder on the host."""
        return layout.workspace(self.stack)

    def left_out(self, service: str) -> frozenset[str]:
        """Return the targets of a service's mounts that are not made on a host."""
        return frozenset(
            bind.target
            for bind in self.project.binds
            if bind.service == service
            and (
                bind.kind == "home"
                or (self.additions.without_source and binds.is_source(bind, self.project.repository))
            )
        )

    def seen(self, path: Path) -> str:
        """Return a travelling file's path as the overlay names it."""
        return interpolate.escape(self.project.places.seen_from(self.project.directory, path))

    def is_aside(self, path: Path) -> bool:
        """Whether a file is elsewhere in the release than in the repository."""
        return self.project.places.is_aside(path)


def text(after: Value, inputs: OverlayInputs) -> str:
    """Return the overlay for files that, rewritten, mean `after`."""
    found = after.at("services")
    services = {
        name: entries
        for name, value in (found.items.items() if found is not None else ())
        if (entries := _service(name, value, inputs))
    }
    top: dict[str, Any] = {"services": services} if services else {"services": {}}
    for key, definitions in (("volumes", _volume_definitions(after, inputs)), *_file_definitions(after, inputs)):
        if definitions:
            top[key] = definitions
    return HEADER + dump(top)


def _service(name: str, value: Value, inputs: OverlayInputs) -> dict[str, Any]:
    entries = dict(_image(name, value, inputs))
    if name == inputs.additions.main:
        entries |= _main(name, value, inputs)
    if options := _security_options(name, value, inputs):
        entries["security_opt"] = options
    for key in ("env_file", "label_file"):
        if listed := _listed_files(value.at(key), inputs):
            entries[key] = Tagged("!override", listed)
    mounted = inputs.mounted.volumes if name == inputs.additions.main else ()
    left_out = inputs.left_out(name)
    volumes = [*(_remaining(value, left_out, name, inputs) if left_out else _volumes(name, inputs)), *mounted]
    if volumes or left_out:
        entries["volumes"] = Tagged("!override", volumes) if left_out else volumes
    published = [] if inputs.additions.expose else ports.bound(value)
    if published:
        entries["ports"] = Tagged("!override", published)
    labels = _labels(name, inputs)
    if labels:
        entries["labels"] = labels
    return entries


def _image(name: str, value: Value, inputs: OverlayInputs) -> Iterator[tuple[str, Any]]:
    image = inputs.images.get(name)
    if image is None:
        yield from _kept(name, value, inputs)
        return
    if "build" in value.items:
        yield "build", Tagged("!reset")
    if value.string("image") != image.pinned:
        yield "image", image.pinned
    if value.string("pull_policy") == "build":
        yield "pull_policy", "missing"


def _kept(name: str, value: Value, inputs: OverlayInputs) -> Iterator[tuple[str, Any]]:
    """Yield what a service without a build had from one whose build was replaced in the text."""
    for key in ("image", "pull_policy"):
        before = inputs.project.model.at("services", name, key)
        if before is not None and before.text != value.string(key):
            yield key, before


def _main(name: str, value: Value, inputs: OverlayInputs) -> dict[str, Any]:
    extra = inputs.additions
    entries: dict[str, Any] = {}
    if extra.keeps_running or extra.entrypoints:
        entries |= entrypoint.entries(value, extra)
    if extra.user:
        entries["user"] = interpolate.escape(extra.user)
    entries |= {key: True for key, wanted in (("init", extra.init), ("privileged", extra.privileged)) if wanted}
    listed = value.at("cap_add")
    known = {item.text for item in listed.list} if listed is not None else set()
    if added := [interpolate.escape(word) for word in extra.cap_add if word not in known]:
        entries["cap_add"] = added
    environment: dict[str, str | None] = {**node.environment(value, inputs.project, name, extra.mentioned)}
    environment |= {key: interpolate.escape(text) for key, text in extra.environment}
    environment |= dict.fromkeys(extra.secrets)
    if environment:
        entries["environment"] = environment
    return entries | limits.entries(value, extra.cpus, extra.memory, extra.memory_swap)


def _security_options(name: str, value: Value, inputs: OverlayInputs) -> Any:
    """Return what devcontainer.json adds; all options where one names a profile that is elsewhere in the release."""
    project = inputs.project
    moved = profiles.moved(value, project.places, project.directory)
    listed = value.at(profiles.KEY)
    known = {item.text for item in listed.list} if listed is not None else set()
    extra = inputs.additions.security_opt if name == inputs.additions.main else ()
    added = [profiles.seen(word, project.places, project.directory) for word in extra if word not in known]
    return Tagged("!override", [*moved, *added]) if moved else added


def _listed_files(listed: Value | None, inputs: OverlayInputs) -> list[Any]:
    """Return all of a service's `env_file` or `label_file` where one has another name or format in the release."""
    items = listed.list if listed is not None else []
    paths = [place.absolute(item.base, item.string("path") if item.items else item.text) for item in items]
    if not any(map(inputs.is_aside, paths)) and not any("format" in item.items for item in items):
        return []
    return [_listed_file(item, path, inputs) for item, path in zip(items, paths, strict=True)]


def _listed_file(item: Value, path: Path, inputs: OverlayInputs) -> Any:
    if "format" not in item.items:
        return {**item.items, "path": inputs.seen(path)} if item.items else inputs.seen(path)
    # The file was converted from its format when it was read.
    kept = {key: value for key, value in item.items.items() if key != "format"}
    places = inputs.project.places
    return {**kept, "path": interpolate.escape(places.named(places.converted(path), inputs.project.directory))}


def _volumes(name: str, inputs: OverlayInputs) -> Iterator[Value | str]:
    return (item for _, item in _moved(name, inputs))


def _moved(name: str, inputs: OverlayInputs) -> Iterator[tuple[Bind, Value | str]]:
    for bind in inputs.project.binds:
        if bind.service != name or bind.entry is None:
            continue
        if bind.moves:
            yield bind, binds.moved(bind.entry, interpolate.escape(binds.host_path(bind, inputs.root)))
        elif bind.kind == "file" and inputs.is_aside(bind.source):
            yield bind, binds.moved(bind.entry, inputs.seen(bind.source))


def _remaining(value: Value, left_out: frozenset[str], name: str, inputs: OverlayInputs) -> Iterator[Value | str]:
    """Yield all of a service's volumes but those that are left out; a volume of the overlay could only be added."""
    listed = value.at("volumes")
    moved = {volume.target(bind.entry): item for bind, item in _moved(name, inputs) if bind.entry is not None}
    for item in listed.list if listed is not None else ():
        target = volume.target(item)
        if target not in left_out:
            yield moved.get(target, item)


def _labels(name: str, inputs: OverlayInputs) -> dict[str, str]:
    labels = {MAIN: "true"} if name == inputs.additions.main else {}
    if name in inputs.marks:
        labels[FILES] = inputs.marks[name]
    return labels


def _volume_definitions(after: Value, inputs: OverlayInputs) -> dict[str, Any]:
    """Return the volumes that mounts name, and those that are a folder of this machine under a name."""
    declared = after.at("volumes")
    known = declared.items if declared is not None else {}
    found: dict[str, Any] = {name: value for name, value in inputs.mounted.definitions if name not in known}
    for bind in inputs.project.binds:
        if bind.volume and bind.moves:
            path = interpolate.escape(binds.host_path(bind, inputs.root))
            found[bind.volume] = {"driver_opts": {"device": path}}
    return found


def _file_definitions(after: Value, inputs: OverlayInputs) -> Iterator[tuple[str, dict[str, Any]]]:
    for key in ("configs", "secrets"):
        listed = after.at(key)
        moved = {}
        for name, item in listed.items.items() if listed is not None else ():
            file = item.at("file")
            if file is not None and inputs.is_aside(path := place.absolute(file.base, file.text)):
                moved[name] = {"file": inputs.seen(path)}
        yield key, moved
