"""Replace the `${…}` of a devcontainer.json. Uses only the given environment."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

Keys = tuple[str | int, ...]
Lookup = Callable[[str, str, list[str]], str]

_BREAK = pattern("[\r\n\u2028\u2029]")
_DIGITS = "0123456789abcdefghijklmnopqrstuv"


@dataclass(frozen=True)
class Variables:
    """Hold the values of variables; with `container_folder` None, its variables stay as written."""

    environment: Mapping[str, str]
    local_folder: Path
    container_folder: str | None

    def substitute(self, value: Any, refuse: Callable[[Keys, str], None]) -> Any:
        """Replace variables in every string value, never in keys, in one pass.

        `refuse` is called with the place and the reason for an invalid variable. Unknown names stay as written, as do
        `containerEnv` and `devcontainerId`, which are not known yet.
        """
        folder = self.container_folder
        if folder:
            # The folder may contain variables itself, and is resolved before all others.
            folder = _replace(folder, self._lookup)
        return _walk(value, replace(self, container_folder=folder)._lookup, refuse)

    def _lookup(self, match: str, name: str, arguments: list[str]) -> str:
        if name in ("env", "localEnv"):
            return self._environment(match, arguments)
        return self._folders().get(name, match)

    def _folders(self) -> dict[str, str]:
        folders = {
            "localWorkspaceFolder": str(self.local_folder),
            "localWorkspaceFolderBasename": self.local_folder.name,
        }
        if self.container_folder is not None:
            folders["containerWorkspaceFolder"] = self.container_folder
            folders["containerWorkspaceFolderBasename"] = self.container_folder.rstrip("/").rpartition("/")[2]
        return folders

    def _environment(self, match: str, arguments: list[str]) -> str:
        """Look a variable up: set but empty stays empty; text after a second colon is dropped."""
        if not arguments:
            raise ValueError(f"`{match}` names no variable")
        name, *default = arguments
        return self.environment.get(name, default[0] if default else "")


def with_id(value: Any, identity: str) -> Any:
    """Replace `${devcontainerId}` in every string value."""
    return _walk(value, lambda match, name, _: identity if name == "devcontainerId" else match)


def devcontainer_id(labels: Mapping[str, str]) -> str:
    """Return the id that the devcontainer CLI derives from a container's labels.

    Source: containers.dev, `${devcontainerId}`: SHA-256 as a number of 52 digits in base 32.
    """
    text = json.dumps(dict(labels), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return "".join(_DIGITS[number >> shift & 31] for shift in range(51 * 5, -1, -5))


def named(value: str) -> tuple[str, ...]:
    """Return the types of the variables in a string: `containerEnv` for `${containerEnv:PATH}`."""
    return tuple(variable.partition(":")[0] for _, variable in parts(value) if variable is not None)


def parts(value: str) -> Iterator[tuple[str, str | None]]:
    """Yield text, and what is between the following `${` and `}`; None after the last text.

    A variable starts at the first `${` of the line that its `}` is in: `${a${b}` is one.
    """
    *closed, rest = value.split("}")
    for text in closed:
        line = max((match.end() for match in _BREAK.finditer(text)), default=0)
        start = text.find("${", line)
        yield (text[:start], text[start + 2 :]) if start >= 0 else (f"{text}}}", None)
    yield rest, None


def _walk(value: Any, lookup: Lookup, refuse: Callable[[Keys, str], None] | None = None, keys: Keys = ()) -> Any:
    if isinstance(value, str):
        try:
            return _replace(value, lookup)
        except ValueError as error:
            if refuse:
                refuse(keys, str(error))
            return value
    if isinstance(value, list):
        return [_walk(item, lookup, refuse, (*keys, index)) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _walk(item, lookup, refuse, (*keys, key)) for key, item in value.items()}
    return value


def _replace(value: str, lookup: Lookup) -> str:
    pieces = []
    for text, variable in parts(value):
        pieces.append(text)
        if variable is not None:
            name, *arguments = variable.split(":")
            pieces.append(lookup(f"${{{variable}}}", name, arguments))
    return "".join(pieces)
