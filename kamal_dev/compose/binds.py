"""What the services mount from this machine, and its place on a host. Copies nothing.

A folder of the repository becomes the same folder of the workspace on the host, so that `..` and `../..` keep their
meaning; a file is part of the release; anything else is the host's own, under the same path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import Literal

from kamal_dev.compose import interpolate, place, volume
from kamal_dev.compose.value import Value
from kamal_dev.model import Location, Notice, Tree
from kamal_dev.values import dataclass

Kind = Literal["workspace", "file", "host", "home"]

# Paths that every host has itself, under the same names.
_EVERYWHERE = ("/var/run", "/run", "/dev", "/tmp", "/proc", "/sys", "/etc/localtime", "/etc/timezone", "/lib/modules")  # noqa: S108


# These always mean the host's folders, even if the repository is inside one of them; `..` may lead there too.
_OWN = ("/", *_EVERYWHERE)


@dataclass(frozen=True)
class Bind:
    """Describe one bind of a service.

    `source` is absolute on this machine. `kind` says what it is on a host:
    `workspace` (at `folder`, relative to the stack's workspace folder, which represents
    for the parent of the repository), `file` (in the release, where it is in the
    repository), `host` (what the host has under that path) or `home` (a path of the user
    at this machine, which is left out). `moves` where the path
    as written would mean another one there. `entry` is the volume as the user wrote
    it; `volume` names the top-level volume used for the folder instead.
    """

    service: str
    source: Path
    target: str
    kind: Kind
    where: Location
    folder: str = ""
    read_only: bool = False
    moves: bool = False
    volume: str = ""
    entry: Value | None = field(default=None, repr=False, compare=False)

    @property
    def is_workspace(self) -> bool:
        """Whether it is a folder of the stack's workspace on a host."""
        return self.kind == "workspace"


def read(
    project: Value, tree: Tree, repository: Path, *, allow_outside: bool = False, personal: tuple[Path, ...] = ()
) -> tuple[tuple[Bind, ...], tuple[Notice, ...]]:
    """Return every bind of a project, and a notice for each whose content differs on a host.

    With `allow_outside`, a file outside the repository is added to the release if its path is relative. `personal`
    are the paths of the user of this machine.
    """
    pairs = [*_of_services(project, tree, repository, allow_outside, personal), *_of_volumes(project, tree, repository)]
    return tuple(bind for bind, _ in pairs), tuple(notice for _, notice in pairs if notice)


def _of_services(
    project: Value, tree: Tree, repository: Path, allow_outside: bool, personal: tuple[Path, ...]
) -> Iterator[tuple[Bind, Notice | None]]:
    services = project.at("services")
    for name, service in services.items.items() if services is not None else ():
        volumes = service.at("volumes")
        for item in volumes.list if volumes is not None else ():
            written = volume.bind_source(item)
            if not written:
                continue
            bind, notice = locate(name, written, item.base, item.where, tree, repository, personal)
            if bind.kind not in ("file", "home") and written.startswith(".") and tree.kind(bind.source) == "file":
                # A file that is mounted by a relative path belongs to the project.
                bind, notice = _outside(bind, notice, allow_outside)
            is_relative = not (written.startswith(("/", "~")) or place.is_windows(written))
            moves = bind.kind == "workspace" or (bind.kind == "host" and is_relative)
            target, read_only = volume.target(item), volume.is_read_only(item)
            yield replace(bind, target=target, read_only=read_only, moves=moves, entry=item), notice


def _of_volumes(project: Value, tree: Tree, repository: Path) -> Iterator[tuple[Bind, Notice | None]]:
    """Yield the top-level volumes that name a folder in `driver_opts` of the local driver."""
    volumes = project.at("volumes")
    for name, item in volumes.items.items() if volumes is not None else ():
        device = item.at("driver_opts", "device")
        options = {option.strip() for option in item.string("driver_opts", "o").split(",")}
        if device is None or item.string("driver") not in ("", "local") or not options & {"bind", "rbind"}:
            continue
        bind, notice = locate("", device.text, device.base, device.where, tree, repository)
        yield replace(bind, volume=name, moves=bind.kind == "workspace"), notice


def locate(
    service: str,
    written: str,
    base: Path,
    where: Location,
    tree: Tree,
    repository: Path,
    personal: tuple[Path, ...] = (),
) -> tuple[Bind, Notice | None]:
    """Return the place of a bind's source on a host; it is `written`, with variables resolved, relative to `base`."""
    source = place.absolute(base, written)
    bind = Bind(service, source, "", "host", where)
    inside = _inside(source, repository, tree)
    if inside is not None:
        if tree.kind(source) == "file":
            return replace(bind, kind="file"), None
        folder = repository.name if inside == "." else f"{repository.name}/{inside}"
        return replace(bind, kind="workspace", folder=folder), _doubt(source, inside, where, tree, repository)
    return _beyond(bind, written, repository, personal)


def _beyond(bind: Bind, written: str, repository: Path, personal: tuple[Path, ...]) -> tuple[Bind, Notice | None]:
    """Return the place on a host of a source outside the repository."""
    source, where = bind.source, bind.where
    if place.within(repository, source) is not None and (written.rstrip("/") or "/") not in _OWN:
        above = source != repository.parent
        text = f"`{source}` on a host is a folder that contains only `{repository.name}` alone"
        return replace(bind, kind="workspace", folder=""), Notice(where, text) if above else None
    if personal and _is_personal(source, repository, personal):
        text = f"`{source}` belongs to the user of this machine and is not mounted: the path does not exist on a host"
        return replace(bind, kind="home"), Notice(where, f"{text}; `home_mounts: host` mounts the host's own path")
    beside = place.within(source, repository.parent)
    if beside is not None:
        text = f"`{source}` is not in the repository: `{beside}` is an empty folder beside it on a host"
        return replace(bind, kind="workspace", folder=beside), Notice(where, text)
    if any(place.within(source, Path(path)) is not None for path in _EVERYWHERE):
        return bind, None
    return bind, Notice(where, f"`{source}` is not in the repository: the container gets the host's own path")


def personal(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the paths that belong to the user of this machine: the home folder, and the sockets of agents."""
    named = (environment.get(name, "") for name in ("HOME", "SSH_AUTH_SOCK", "XDG_RUNTIME_DIR"))
    return (Path("~"), *(Path(path) for path in named if path.startswith("/") and path != "/"))


def _is_personal(source: Path, repository: Path, personal: tuple[Path, ...]) -> bool:
    """Return whether it is one of these; a project next to the repository is not, a hidden folder there is."""
    below = [relative for path in personal if (relative := place.within(source, path)) is not None]
    hidden = any(part.startswith(".") for relative in below for part in Path(relative).parts)
    return bool(below) and (hidden or place.within(source, repository.parent) is None)


def _outside(bind: Bind, notice: Notice | None, allow_outside: bool) -> tuple[Bind, Notice | None]:
    """Return the mount of an outside file, or say how it could be sent."""
    if allow_outside:
        return replace(bind, kind="file", folder=""), None
    hint = "use `--allow-outside` to send files outside the repository"
    return bind, notice and replace(notice, message=f"{notice.message}; {hint}")


def _doubt(source: Path, inside: str, where: Location, tree: Tree, repository: Path) -> Notice | None:
    """Return why a folder of the repository may differ on a host."""
    if not tree.kind(source):
        return Notice(where, f"`{inside}` does not exist: it starts empty on a host")
    if place.within(tree.real(source), tree.real(repository)) is None:
        return Notice(where, f"`{inside}` is a link out of the repository: it is broken on a host")
    return None


def is_source(bind: Bind, repository: Path) -> bool:
    """Return whether it is the repository, a folder of it, or a parent of it."""
    return bind.is_workspace and (not bind.folder or bind.folder.partition("/")[0] == repository.name)


def host_path(bind: Bind, root: str) -> str:
    """Return the source on a host of a bind that is not a file; `root` is the stack's workspace folder."""
    if bind.kind == "host":
        return bind.source.as_posix()
    return f"{root}/{bind.folder}" if bind.folder else root


def moved(entry: Value, source: str) -> Value | str:
    """Return a volume with another source, in the form that the user wrote; `source` is already escaped.

    A string is the short form, with its variables as written; a Value is the long form.
    """
    if not entry.items:
        return f"{source}:{_rest(entry)}"
    return entry.having({**entry.items, "source": replace(entry.items["source"], data=source, raw=source)})


def _rest(entry: Value) -> str:
    """Return what follows the source in a short volume, as written if possible."""
    meant, written = volume.split(entry.text), volume.split(entry.raw)
    if written.source and bool(written.options) == bool(meant.options):
        return ":".join(filter(None, (written.target, written.options)))
    return ":".join(interpolate.escape(part) for part in (meant.target, meant.options) if part)


def _inside(source: Path, repository: Path, tree: Tree) -> str | None:
    """Return the path in the repository, also if a link leads into it."""
    inside = place.within(source, repository)
    if inside is None and source.is_absolute() and tree.kind(source):
        inside = place.within(tree.real(source), tree.real(repository))
    return inside
