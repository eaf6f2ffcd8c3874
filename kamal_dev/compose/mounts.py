"""The mounts of a devcontainer.json as volumes of the main service. They were parsed before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kamal_dev.compose import binds, interpolate, travels
from kamal_dev.compose.binds import Bind
from kamal_dev.compose.layout import ReleaseLayout
from kamal_dev.compose.reading import ComposeReader
from kamal_dev.compose.travels import Travel
from kamal_dev.errors import Problem
from kamal_dev.model import Notice
from kamal_dev.values import dataclass

if TYPE_CHECKING:
    from kamal_dev.devcontainer import Mount


@dataclass(frozen=True)
class Mounted:
    """Hold the mounts in their form on a host.

    `volumes` are items for the main service, in long form, `definitions` the top-level definitions of the named
    volumes; `binds` and `sent` are the binds and files among them.
    """

    volumes: tuple[dict[str, Any], ...] = ()
    definitions: tuple[tuple[str, dict[str, Any]], ...] = ()
    binds: tuple[Bind, ...] = ()
    travels: tuple[Travel, ...] = ()
    notices: tuple[Notice, ...] = ()
    problems: tuple[Problem, ...] = ()


def read(
    mounts: tuple[Mount, ...],
    service: str,
    directory: Path,
    reader: ComposeReader,
    places: ReleaseLayout,
    root: str,
    *,
    without_source: bool = False,
) -> Mounted:
    """Return the mounts of `service`; `directory` is the project's, `root` the workspace folder on a host.

    `without_source` leaves out those of the repository.
    """
    from kamal_dev.devcontainer import definition, volume

    items: list[dict[str, Any]] = []
    bound: list[Bind] = []
    carried: list[Travel] = []
    notices, problems = list[Notice](), list[Problem]()
    around = (reader.tree, reader.repository, reader.personal)
    for mount in mounts:
        item = _escaped(volume(mount))
        if mount.type == "bind":
            bind, notice = binds.locate(service, mount.source, directory, mount.where, *around)
            is_skipped = without_source and binds.is_source(bind, reader.repository)
            notices += [notice] if notice and not is_skipped else []
            if is_skipped or bind.kind == "home":
                continue
            bound.append(bind)
            needed = travels.bound(bind, reader) if bind.kind == "file" else None
            problems += [needed] if isinstance(needed, Problem) else []
            carried += [needed] if isinstance(needed, Travel) else []
            item["source"] = interpolate.escape(_source(bind, directory, places, root))
            if bind.kind != "file":
                item.setdefault("bind", {}).setdefault("create_host_path", True)
        items.append(item)
    named = {mount.source: definition(mount) for mount in mounts if mount.type == "volume" and mount.source}
    return Mounted(tuple(items), tuple(named.items()), tuple(bound), tuple(carried), tuple(notices), tuple(problems))


def _source(bind: Bind, directory: Path, places: ReleaseLayout, root: str) -> str:
    if bind.kind == "file":
        return places.seen_from(directory, bind.source)
    return binds.host_path(bind, root)


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return interpolate.escape(value) if isinstance(value, str) else value
