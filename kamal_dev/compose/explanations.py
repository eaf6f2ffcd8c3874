"""The table of all keys of the compose files, and what became of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kamal_dev.compose import binds, build_options, layout, restarts, sharing
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.compose_project import ComposeProject
from kamal_dev.compose.reading import ComposeFile
from kamal_dev.compose.travels import Travel
from kamal_dev.errors import ComposeError
from kamal_dev.model import Explanation, Image, Location, Release
from kamal_dev.syntax.composer import parse
from kamal_dev.syntax.node import Node
from kamal_dev.values import dataclass

LEFT = "left to Compose"
REWRITTEN = "rewritten"
BUILT = "built"
SENT = "sent"
MAPPED = "mapped"
ADDED = "added"

_NAMED = ("volumes", "networks", "configs", "secrets", "models")
_BUILD = {
    "context": "what is built from",
    "dockerfile": "`-f` of the build, from its context",
    "dockerfile_inline": "`-f -` of the build",
    "args": "`--build-arg`",
    "target": "`--target`",
    "additional_contexts": "`--build-context`",
    "cache_from": "`--cache-from`",
    "cache_to": "`--cache-to`",
    "secrets": "`--secret`",
    "ssh": "`--ssh`",
    "platforms": "`--platform`",
    **build_options.FLAGS,
}
_ADDED = {
    "build": "replaced by the image",
    "image": "the image that is built for this version",
    "pull_policy": "the image is pulled, not built",
    "container_name": "the name of the stack's own, because stacks share a host",
    "ports": "bound to 127.0.0.1 of the host, because `expose` of config/dev.yml is not set",
    "volumes": "the workspace, and `mounts` of devcontainer.json",
    "env_file": "the same files, where they are in the release",
    "label_file": "the same files, where they are in the release",
    "labels": "the name under which `dev` knows the service",
    "entrypoint": "`overrideCommand`: it keeps running",
    "command": "`overrideCommand`: it keeps running",
    "environment": "`containerEnv` of devcontainer.json, `secrets` of config/dev.yml, and which stack this is",
    "user": "`containerUser` of devcontainer.json",
    "init": "`init` of devcontainer.json",
    "privileged": "`privileged` of devcontainer.json",
    "cap_add": "`capAdd` of devcontainer.json",
    "security_opt": "`securityOpt` of devcontainer.json",
    restarts.KEY: "`restart` of config/dev.yml: the restart policy that the service gets once it has come up",
    **dict.fromkeys(("cpus", "mem_limit", "memswap_limit", "deploy"), "`defaults` of config/dev.yml"),
}


def explain(project: ComposeProject, release: Release) -> tuple[Explanation, ...]:
    """Return a row for every key of every file in order, then one for each key of the overlay."""
    table = _Table(project, release)
    rows = [row for file in project.files for root in file.documents for row in table.file(file, root)]
    return (*rows, *_overlay(_text(release), is_shared=bool(release.published)))


@dataclass(frozen=True)
class _Cell:
    """Hold a key, its place and its value."""

    key: str
    where: Location
    file: ComposeFile
    value: Node

    def row(self, outcome: str, text: str) -> Explanation:
        return Explanation(self.key, self.where, outcome, text)

    def below(self, name: str, key: Node, value: Node) -> _Cell:
        place = Location(self.file.display, key.line, key.column)
        return _Cell(f"{self.key}.{name}" if self.key else name, place, self.file, value)

    @property
    def entries(self) -> list[tuple[str, _Cell]]:
        """The keys of the mapping itself, without merged ones."""
        return [(key.text, self.below(key.text, key, value)) for key, value in self.value.entries]

    @property
    def place(self) -> Location:
        """The place of the value, in the reader's notation."""
        node = self.value.followed
        return Location(self.file.display, node.line, node.column)


class _Table:
    def __init__(self, project: ComposeProject, release: Release) -> None:
        self.stack = release.stack
        self.repository = project.repository
        self.folders = release.workspace
        self.images: Mapping[str, Image] = dict(release.images)
        self.built = {service.name for service in project.services if service.has_build and service.name in self.images}
        self.idle = {service.name for service in project.services if service.has_build} - self.built
        self.binds: dict[Location, Bind] = {bind.where: bind for bind in project.binds}
        self.bound, self.renamed = _overlaid(release, "ports"), _overlaid(release, "container_name")
        self.networks_and_volumes = _named_in_overlay(release)
        self.published = release.published
        self.travels: dict[Location, Travel] = {travel.where: travel for travel in project.travels}

    def file(self, file: ComposeFile, root: Node) -> Iterator[Explanation]:
        for name, cell in _Cell("", Location(file.display), file, root).entries:
            if name == "services" and cell.value.kind == "mapping":
                for service, below in cell.entries:
                    yield from self._service(service, below)
            elif name in _NAMED and cell.value.kind == "mapping":
                for _, below in cell.entries:
                    yield self._named(below)
            elif name == "name":
                yield cell.row(REWRITTEN, f"`{self.stack}`, the name of the stack, by COMPOSE_PROJECT_NAME in `.env`")
            elif name == "include":
                yield cell.row(SENT, "the files that it names are in the release")
            elif name == "version":
                yield cell.row(LEFT, "which ignores it")
            else:
                yield cell.row(LEFT, "as written")

    def _service(self, name: str, cell: _Cell) -> Iterator[Explanation]:
        if not cell.entries:
            yield cell.row(LEFT, "as written")
        for key, below in cell.entries:
            if key == "build" and name in self.built:
                yield below.row(BUILT, f"`{self.images[name]}`")
                yield from self._build(below)
            elif key == "build" and name in self.idle:
                yield below.row(LEFT, "as written: no active profile starts this service, so it is not built")
            elif key == "build" and below.file.role == "extended":
                yield below.row(BUILT, "for the services that extend it, whose image the overlay puts in its place")
                yield from self._build(below)
            elif key in ("image", "pull_policy"):
                yield self._image(name, key, below)
            elif key == "ports" and self.published:
                yield below.row(REWRITTEN, SHARED_PORTS)
            elif key == "container_name" and name in self.renamed:
                yield below.row(REWRITTEN, "removed by the overlay: a name can be used once on a host")
            elif key == "ports" and name in self.bound:
                yield below.row(REWRITTEN, "bound to 127.0.0.1 of the host by the overlay; `expose: true` opens them")
            elif key in ("volumes", "env_file", "label_file"):
                yield from self._listed(below)
            else:
                yield below.row(LEFT, "as written")

    def _build(self, cell: _Cell) -> Iterator[Explanation]:
        for key, below in cell.entries:
            yield below.row(BUILT, _BUILD.get(key, "ignored"))

    def _image(self, name: str, key: str, cell: _Cell) -> Explanation:
        if key == "image" and name in self.images:
            return cell.row(REWRITTEN, f"`{self.images[name]}`")
        if name in self.built and cell.value.text == "build":
            return cell.row(REWRITTEN, "`missing`")
        return cell.row(LEFT, "as written")

    def _listed(self, cell: _Cell) -> Iterator[Explanation]:
        """Explain each item of a list; an alias is reported where it is written."""
        items = cell.value.followed.items
        if not items:
            yield self._path(cell)
        for index, item in enumerate(items):
            node = cell.value if cell.value.target else item
            place = Location(cell.file.display, node.line, node.column)
            yield self._path(_Cell(f"{cell.key}[{index}]", place, cell.file, item))

    def _named(self, cell: _Cell) -> Explanation:
        if cell.key in self.networks_and_volumes:
            return cell.row(REWRITTEN, SHARED_NAME)
        inside = [cell, *(below for _, below in cell.entries)]
        options = next((below for name, below in cell.entries if name == "driver_opts"), None)
        inside += [below for _, below in options.entries] if options else []
        for below in inside:
            if below.place in self.binds or below.place in self.travels:
                return self._path(_Cell(cell.key, cell.where, cell.file, below.value))
        return cell.row(LEFT, "as written")

    def _path(self, cell: _Cell) -> Explanation:
        travel, bind = self.travels.get(cell.place), self.binds.get(cell.place)
        if travel is not None:
            return cell.row(SENT, "a file of the release")
        if bind is not None and bind.kind == "workspace":
            if binds.is_source(bind, self.repository) and (bind.folder or self.repository.name) not in self.folders:
                return cell.row("ignored", "left out: `workspace.source` is `image`")
            return cell.row(MAPPED, f"`{binds.host_path(bind, layout.workspace(self.stack))}` on a host")
        if bind is not None and bind.kind == "file":
            return cell.row(SENT, "a file of the release")
        if bind is not None:
            return cell.row(LEFT, f"`{bind.source}` of the host")
        return cell.row(LEFT, "as written")


def _text(release: Release) -> str:
    return next(file.content.decode() for file in release.files if file.path == layout.OVERLAY)


SHARED_PORTS = "free ports of the host, allotted once for each stack, because stacks share it"
SHARED_NAME = "the name of the stack's own, because stacks share a host"


def _named_in_overlay(release: Release) -> frozenset[str]:
    """Return the networks and volumes that the overlay gives a name, as `networks.NAME`."""
    roots = parse(_text(release), layout.OVERLAY, ComposeError)
    listed = [(kind, pair[1]) for root in roots for kind in sharing.KINDS if (pair := root.entry(kind))]
    return frozenset(
        f"{kind}.{key.text}" for kind, value in listed for key, item in value.entries if item.entry("name")
    )


def _overlaid(release: Release, changed: str) -> frozenset[str]:
    """Return the services of which the overlay replaces a key."""
    services = [root.entry("services") for root in parse(_text(release), layout.OVERLAY, ComposeError)]
    pairs = [(key.text, value) for pair in services if pair for key, value in pair[1].entries]
    return frozenset(name for name, value in pairs if value.kind == "mapping" and value.entry(changed))


def _overlay(text: str, *, is_shared: bool) -> Iterator[Explanation]:
    reasons = {**_ADDED, **({"ports": SHARED_PORTS} if is_shared else {})}
    for root in parse(text, layout.OVERLAY, ComposeError):
        for key, value in root.entries:
            for name, item in value.entries:
                if key.text != "services":
                    place = Location(layout.OVERLAY, name.line, name.column)
                    why = SHARED_NAME if item.entry("name") else "what a mount or the workspace needs"
                    yield Explanation(f"{key.text}.{name.text}", place, ADDED, why)
                    continue
                for inner, _ in item.entries:
                    place = Location(layout.OVERLAY, inner.line, inner.column)
                    yield Explanation(f"services.{name.text}.{inner.text}", place, ADDED, reasons[inner.text])
