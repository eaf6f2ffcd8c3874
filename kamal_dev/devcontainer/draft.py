"""A compose service under construction, and the ways in which a `docker run` flag adds to it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from typing import Any

from kamal_dev.devcontainer import mount_options
from kamal_dev.devcontainer.configuration import NOWHERE, Mount, Translation
from kamal_dev.devcontainer.workspace_folder import seccomp_profile
from kamal_dev.model import Notice


class Draft:
    """Collect compose keys, and separately what takes precedence over other properties.

    `local` turns a local path into one for the host; `where` is the place being read. Each method that adds takes the
    flag's value and the dotted path of a key, and returns the reason if the value is not supported.
    """

    def __init__(self, known: Mapping[str, str], local: Callable[[str], str]) -> None:
        self.where = NOWHERE
        self._known = known
        self._local = local
        self._service: dict[str, Any] = {}
        self._networks: dict[str, Any] = {}
        self._mounts: list[Mount] = []
        self._environment: dict[str, str] = {}
        self._user = ""
        self._notices: list[Notice] = []

    def done(self) -> Translation:
        """Return the result."""
        if "network_mode" in self._service and self._service.pop("networks", None) is not None:
            self._networks.clear()
            self.notice(f"network `{self._service['network_mode']}` in runArgs cannot be combined with other networks")
        environment = tuple(self._environment.items())
        return Translation(
            self._service, self._networks, tuple(self._mounts), environment, self._user, tuple(self._notices)
        )

    def notice(self, message: str) -> None:
        """Add a notice at the place being read."""
        self._notices.append(Notice(self.where, message))

    def text(self, value: Any, key: str) -> str:
        """Set a key to the value as it is."""
        self._set(key, value)
        return ""

    def number(self, value: str, key: str) -> str:
        """Set a key to a whole number."""
        if not value.lstrip("-").isdecimal():
            return "its value is not a number"
        self._set(key, int(value))
        return ""

    def size(self, value: str, key: str) -> str:
        """Set a key to a size; Compose accepts `-1`, no limit, only as a number."""
        return self.number(value, key) if value == "-1" else self.text(value, key)

    def switch(self, value: str, key: str) -> str:
        """Set a key to true or false."""
        self._set(key, value.lower() in ("true", "1", "t"))
        return ""

    def item(self, value: Any, key: str) -> str:
        """Append the value to a list."""
        folder, _, last = key.rpartition(".")
        self._inside(folder).setdefault(last, []).append(value)
        return ""

    def pair(self, value: str, key: str) -> str:
        """Add `name=text` to a mapping."""
        name, _, text = value.partition("=")
        self._inside(key)[name] = text
        return ""

    def raw_file(self, value: str, key: str) -> str:
        """Append a file of variables whose values are taken literally."""
        return self.item({"path": self._local(value), "format": "raw"}, key)

    def option(self, value: str, key: str) -> str:
        """Append a security option; a seccomp profile is a local file."""
        profile = seccomp_profile(value)
        return self.item(f"seccomp={self._local(profile)}" if profile else value, key)

    def seconds(self, value: str, key: str) -> str:
        """Set a key to a duration."""
        return self.text(f"{value}s", key)

    def alone(self, value: str, key: str) -> str:
        """Set a key to a list with this value, or to an empty list if it is empty."""
        self._set(key, [value] if value else [])
        return ""

    def shared(self, value: str, key: str) -> str:
        """Share a namespace with the host; never with a container outside of the stack."""
        if value.startswith("container:"):
            return f"`{value}` is not a container of the stack"
        return self.text(value, key)

    def rate(self, value: str, key: str) -> str:
        """Append `device:rate` to a list."""
        path, colon, text = value.rpartition(":")
        if not colon:
            return "it has no rate: expected `device:rate`"
        name = "weight" if key.endswith("weight_device") else "rate"
        return self.item({"path": path, name: int(text) if text.isdecimal() else text}, key)

    def ulimit(self, value: str, key: str) -> str:
        """Add `name=soft:hard` to a mapping."""
        name, _, limits = value.partition("=")
        soft, _, hard = limits.partition(":")
        if not all(limit.lstrip("-").isdecimal() for limit in (soft, hard or soft)):
            return "it is not `name=soft:hard`"
        self._inside(key)[name] = {"soft": int(soft), "hard": int(hard or soft)}
        return ""

    def environment(self, value: str, key: str) -> str:
        """Record `NAME=text`, or the local value of `NAME`."""
        name, equals, text = value.partition("=")
        if not equals and name not in self._known:
            return f"`{name}` is not set here"
        self._environment[name] = text if equals else self._known[name]
        return ""

    def user(self, value: str, key: str) -> str:
        """Record the user."""
        self._user = value
        return ""

    def gpus(self, value: str, key: str) -> str:
        """Reserve GPUs: `all`, a count, or `"device=0,1"` with the quotes."""
        request: dict[str, Any] = {"capabilities": ["gpu"]}
        names = {"device": "device_ids", "capabilities": "capabilities", "driver": "driver", "count": "count"}
        for word in next(csv.reader([value]), []):
            name, equals, text = word.partition("=")
            if not equals:
                name, text = "count", word
            if name not in names:
                return f"`{name}` of a GPU has no equivalent in Compose"
            is_list = name in ("device", "capabilities")
            request[names[name]] = text.split(",") if is_list else int(text) if text.isdecimal() else text
        return self.item(request, key)

    def network(self, value: str, key: str) -> str:
        """Join a network of the stack, or use the host's; `name=…,alias=…` is the long form."""
        words = [word.partition("=") for word in value.split(",")]
        name = next((text for word, _, text in words if word == "name"), "default" if "=" in value else value)
        if name.startswith("container:"):
            return f"`{name}` is not a container of the stack"
        if name in ("host", "none", "bridge"):
            return self.text(name, "network_mode")
        if name != "default":
            self._networks[name] = {}
            self.notice(f"network `{name}` is the stack's own: a host has no network of that name")
        joined = self._inside("networks").setdefault(name, {})
        if aliases := [text for word, _, text in words if word == "alias"]:
            joined["aliases"] = aliases
        strange = [word for word, equals, _ in words if equals and word not in ("name", "alias")]
        return f"`{strange[0]}` of a network is not supported" if strange else ""

    def alias(self, value: str, key: str) -> str:
        """Give the service another name in its first network."""
        networks = self._inside("networks") or {"default": {}}
        next(iter(networks.values())).setdefault("aliases", []).append(value)
        return self.text(networks, "networks")

    def mount(self, value: str, key: str) -> str:
        """Add the mount of `--mount`, or of `-v` if `key` is `short`."""
        try:
            mount, notices = (mount_options.parse_short if key == "short" else mount_options.parse)(value, self.where)
        except ValueError as error:
            return f"it {error}"
        self._mounts += [mount] if mount else []
        self._notices += notices
        return ""

    def _set(self, key: str, value: Any) -> None:
        folder, _, last = key.rpartition(".")
        self._inside(folder)[last] = value

    def _inside(self, key: str) -> dict[str, Any]:
        place = self._service
        for name in filter(None, key.split(".")):
            place = place.setdefault(name, {})
        return place
