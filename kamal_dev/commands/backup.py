"""Backups of a stack: what a file says about itself, and the steps that read and replace its parts. Runs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from kamal_dev.commands.operate import StartLimits
from kamal_dev.commands.payload import Scripts, about, arriving, step
from kamal_dev.commands.words import checked, stack_word
from kamal_dev.errors import DevError
from kamal_dev.model import Step
from kamal_dev.pattern import pattern
from kamal_dev.values import dataclass

FORMAT = 1
WORKSPACE = "workspace"
BACKUPS = "backups"  # only in moves
VOLUMES = "volumes/"
STOPPED, RUNNING = "stopped", "running"
# As the specification of Compose has it.
_PART = pattern(rf"{WORKSPACE}|{BACKUPS}|{VOLUMES}[a-zA-Z0-9_][a-zA-Z0-9._-]*")


@dataclass(frozen=True)
class BackupPart:
    """Describe a part: `volumes/KEY` or `workspace`; `bytes` and `sha256` are those of its section of the tar."""

    name: str
    bytes: int
    files: int
    sha256: str


@dataclass(frozen=True)
class BackupManifest:
    """Describe a backup.

    `created_at` is UTC, `created_by` the program and its version, `packed` the bytes of the compressed tar.
    """

    stack: str
    service: str
    version: str
    created_at: str
    created_by: str
    parts: tuple[BackupPart, ...] = ()
    packed: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(part.name for part in self.parts)

    @property
    def size(self) -> int:
        """The bytes of all parts, not compressed."""
        return sum(part.bytes for part in self.parts)

    def as_json(self) -> str:
        """Return the text of manifest.json."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n"


def manifest(text: bytes) -> BackupManifest:
    """Read manifest.json. Raises DevError for another format, and for text that is none."""
    try:
        data = json.loads(text)
        number = data.get("format")
        if number == FORMAT:
            return _manifest(data)
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise DevError("it has no valid manifest") from error
    raise DevError(
        f"its format is {number!r}, and this version of `dev` reads format {FORMAT}", hint="upgrade kamal-dev"
    )


def _manifest(data: Mapping[str, Any]) -> BackupManifest:
    texts = {name: data[name] for name in ("stack", "service", "version", "created_at", "created_by")}
    parts = tuple(BackupPart(**{name: part[name] for name in _KINDS}) for part in data["parts"])
    wrong = [name for name, text in texts.items() if not isinstance(text, str)]
    wrong += [part.name for part in parts if any(not isinstance(getattr(part, key), of) for key, of in _KINDS.items())]
    if (
        wrong
        or not isinstance(data["packed"], int)
        or not parts
        or not all(is_part(part.name) for part in parts)
        or len({part.name for part in parts}) != len(parts)
    ):
        raise ValueError
    return BackupManifest(**texts, parts=parts, packed=data["packed"])


_KINDS: Mapping[str, type] = {"name": str, "bytes": int, "files": int, "sha256": str}


def is_part(name: str) -> bool:
    """Whether a part may have this name."""
    return _PART.fullmatch(name) is not None


def parts_of(words: Iterable[str]) -> tuple[str, ...]:
    """Return the parts that the words of a command line name: volumes, or `workspace`."""
    return tuple(dict.fromkeys(word if word == WORKSPACE else f"{VOLUMES}{word}" for word in words))


def pack(
    scripts: Scripts,
    token: str,
    stack: str,
    parts: Iterable[str],
    limits: StartLimits = StartLimits(),
    *,
    how: str = STOPPED,
    copy: str = "",
    arrival: str = "",
    performer: str = "",
) -> Step:
    """Return the step that packs parts for `stream`, all if none is named; their services stop meanwhile.

    `how` is `RUNNING` if they do not stop, or the token of a move, after which all services stay stopped. `copy` is the
    new stack that gets them; with `arrival`, the token of that copy, they are copied to its volumes on this host.
    """
    words = (*checked("token", (how,)), *checked("volume", parts))
    meta = ({"copy": stack_word(copy)} if copy else {}) | arriving(arrival)
    return _change(scripts, token, "backup.sh", stack, limits, performer, words, meta)


def stream(scripts: Scripts, token: str) -> Step:
    """Return the step that prints what the run `token` of `pack` packs, as a compressed tar."""
    return step(scripts, "stream.sh", *checked("token", (token,)), label="receive the backup")


def restorable(scripts: Scripts, stack: str, size: int, parts: Iterable[str]) -> Step:
    """Return the step that says whether a stack has these parts, and room for `size` bytes; see `answers.outcome`."""
    words = (stack_word(stack), str(size), *checked("volume", parts))
    return step(scripts, "restorable.sh", *words, label=" ".join(("restorable", *words)))


def replace(
    scripts: Scripts,
    token: str,
    stack: str,
    parts: Iterable[str],
    limits: StartLimits = StartLimits(),
    *,
    performer: str = "",
) -> Step:
    """Return the step that replaces parts by what `workspace.stage` unpacked."""
    return _change(scripts, token, "restore.sh", stack, limits, performer, checked("volume", parts))


def _change(
    scripts: Scripts,
    token: str,
    script: str,
    stack: str,
    limits: StartLimits,
    performer: str,
    words: tuple[str, ...],
    meta: Mapping[str, str] = MappingProxyType({}),
) -> Step:
    times = tuple(str(round(seconds * 1000)) for seconds in (limits.timeout, limits.window))
    files = about({"performer": performer, "restarts": str(limits.restarts), **meta})
    label = " ".join((script.removesuffix(".sh"), stack, *words))
    return step(scripts, script, stack_word(stack), *times, *words, token=token, files=files, label=label)
