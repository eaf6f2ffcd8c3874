"""The mounts of one service in a stack of Swarm: volumes, binds, tmpfs and shared memory, in the long form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kamal_dev.compose import layout, place, secret_text, volume
from kamal_dev.compose.swarm_findings import StackText, SwarmFindings
from kamal_dev.compose.value import Value
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

# What the host exports when it deploys the stack: the home folder of the SSH user on the stack's node.
HOME = "${KAMAL_DEV_HOME}"
_AMOUNT = pattern(r"([0-9]+(?:\.[0-9]+)?) *([kmgtp]?)i?b?", re.IGNORECASE)
_POWERS = ("", "k", "m", "g", "t", "p")
# Hints for other engines and systems, which change nothing on Linux without SELinux.
_HINTS = frozenset(("rw", "cached", "delegated", "consistent", "z", "Z"))
_PROPAGATION = frozenset(("private", "rprivate", "shared", "rshared", "slave", "rslave"))


@dataclass(frozen=True)
class ReleasePaths:
    """Find files of the release on the stack's node; `top` is the folder that corresponds to the release."""

    stack: str
    places: layout.ReleaseLayout

    def inside(self, path: Path) -> str:
        """Return the place in the release of a file; the overlay names some of them there already."""
        inside = place.relative(path, self.places.top)
        return inside if inside.startswith(f"{layout.ASIDE}/") else self.places.in_release(path)

    def on_node(self, path: Path) -> str:
        """Return the path of a file of the release on the node."""
        return f"{HOME}/.kamal-dev/{self.stack}/current/{secret_text.written(self.inside(path))}"


@dataclass(frozen=True)
class ServiceMounts:
    """Translate the mounts of the service `name`."""

    name: str
    service: Value
    wording: StackText
    paths: ReleasePaths
    findings: SwarmFindings

    def all(self) -> list[dict[str, Any]]:
        """Return every mount."""
        return [*self._volumes(), *self._tmpfs(), *self._shared_memory()]

    @property
    def are_of_node(self) -> bool:
        """Whether a mount is of one node: a bind, or a volume with a name."""
        return any(volume.bind_source(item) or volume.name(item) for item in self._listed("volumes"))

    def _listed(self, key: str) -> list[Value]:
        listed = self.service.at(key)
        return listed.list if listed is not None else []

    def _volumes(self) -> Iterator[dict[str, Any]]:
        for item in self._listed("volumes"):
            mount = self._long(item) if item.items else self._short(item)
            if mount:
                yield mount

    def _short(self, item: Value) -> dict[str, Any]:
        parts = volume.split(self.wording.meaning(item))
        kind = "bind" if parts.is_path else "volume"
        mount: dict[str, Any] = {"type": kind}
        if parts.source:
            mount["source"] = self._bind(parts.source, item) if kind == "bind" else self._text(parts.source)
        mount["target"] = self._text(parts.target)
        for option in filter(None, parts.options.split(",")):
            if option == "ro":
                mount["read_only"] = True
            elif option == "nocopy" and kind == "volume":
                mount["volume"] = {"nocopy": True}
            elif option in _PROPAGATION and kind == "bind":
                mount["bind"] = {"propagation": option}
            elif option not in _HINTS:
                self._lost("volumes", item, f"Swarm has no option `{option}` for a mount")
        return mount

    def _long(self, item: Value) -> dict[str, Any]:
        kind = item.string("type")
        if kind not in ("volume", "bind", "tmpfs"):
            self._lost("volumes", item, f"Swarm has no mount of the type `{kind}`")
            return {}
        mount: dict[str, Any] = {"type": kind}
        if (source := item.at("source")) is not None:
            meant = self.wording.meaning(source)
            mount["source"] = self._bind(meant, source) if kind == "bind" else self._text(meant)
        if (target := item.at("target")) is not None:
            mount["target"] = self._text(self.wording.meaning(target))
        if volume.is_read_only(item):
            mount["read_only"] = True
        if options := self._options(item, kind):
            mount[kind] = options
        return mount

    def _options(self, item: Value, kind: str) -> dict[str, Any]:
        known = item.at(kind)
        options: dict[str, Any] = {}
        for key, value in known.items.items() if known is not None else ():
            if key in ("propagation", "nocopy"):
                options[key] = value.is_on if key == "nocopy" else self.wording.text(value)
            elif key == "size" and (size := in_bytes(self.wording.meaning(value))):
                options["size"] = size
            elif key not in ("create_host_path", "selinux", "mode"):
                self._lost(f"volumes.{kind}.{key}", value, "Swarm has no such option for a mount")
        return options

    def _bind(self, written: str, item: Value) -> str:
        """Return the source of a bind on the node."""
        if written.startswith("~"):
            return f"{HOME}{self._text(written[1:])}"
        if not written.startswith("/"):
            return self.paths.on_node(place.absolute(item.base, secret_text.plain(written)))
        return self._text(written)

    def _tmpfs(self) -> Iterator[dict[str, Any]]:
        for item in self._listed("tmpfs"):
            target, _, options = self.wording.meaning(item).partition(":")
            mount: dict[str, Any] = {"type": "tmpfs", "target": self._text(target)}
            for option in filter(None, options.split(",")):
                key, _, amount = option.partition("=")
                if key == "size" and (size := in_bytes(amount)):
                    mount["tmpfs"] = {"size": size}
                elif option not in ("mode=1777", "rw", "noexec", "nosuid", "nodev"):
                    self._lost("tmpfs", item, f"Swarm has no option `{option}` for a tmpfs")
            self.findings.changed(f"services.{self.name}.tmpfs", item, f"a mount of the type tmpfs, at `{target}`")
            yield mount

    def _shared_memory(self) -> Iterator[dict[str, Any]]:
        size = self.service.at("shm_size")
        if size is None:
            return
        amount = in_bytes(self.wording.meaning(size))
        if any(volume.target(item) == "/dev/shm" for item in self._listed("volumes")) or not amount:  # noqa: S108
            return
        self.findings.changed(f"services.{self.name}.shm_size", size, "a mount of the type tmpfs, at `/dev/shm`")
        yield {"type": "tmpfs", "target": "/dev/shm", "tmpfs": {"size": amount}}  # noqa: S108

    def _text(self, meant: str) -> str:
        return self.wording.templated(secret_text.written(meant))

    def _lost(self, key: str, value: Value, why: str) -> None:
        self.findings.lost(f"services.{self.name}.{key}", value, why)


def in_bytes(text: str) -> int:
    """Return an amount such as `64m` in bytes; 0 if it is none. Source: docker/go-units."""
    match = _AMOUNT.fullmatch(secret_text.plain(text).strip())
    return int(float(match[1]) * 1024 ** _POWERS.index(match[2].lower())) if match else 0
