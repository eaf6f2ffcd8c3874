"""What the main service runs: its own command, or one that keeps it running, and the entrypoints of Features."""

from __future__ import annotations

import shlex
from typing import Any

from kamal_dev.compose import interpolate
from kamal_dev.compose.additions import Additions
from kamal_dev.compose.value import Value
from kamal_dev.model import ImageConfig

SHELL = ("/bin/sh", "-c")
# PID 1 gets no default signal handling: without the trap `docker stop` takes ten seconds.
STOPS = "trap 'exit 0' TERM INT"
GO_ON = "while :; do sleep 1 & wait $!; done"


def entries(service: Value, extra: Additions) -> dict[str, Any]:
    """Return `entrypoint` and `command` of the main service for the overlay.

    Entrypoints of Features run one after the other before everything else. Setting `entrypoint` drops the image's
    command, so it is repeated if the compose files set neither; an empty entrypoint in the compose files clears the
    image's.
    """
    if extra.keeps_running:
        lines = "; ".join((STOPS, *extra.entrypoints, GO_ON))
        return {"entrypoint": _escaped((*SHELL, lines)), "command": []}
    own = _words(service.at("entrypoint"))
    lines = "\n".join((*extra.entrypoints, 'exec "$@"'))
    image = extra.image or ImageConfig()
    theirs = _escaped(image.entrypoint) if own is None else own
    keys: dict[str, Any] = {"entrypoint": [*_escaped((*SHELL, lines, "-")), *theirs]}
    command = service.at("command")
    if not own and (command is None or command.data is None):
        keys["command"] = _escaped(image.command)
    return keys


def _words(value: Value | None) -> list[str] | None:
    """Return an entrypoint as words with its variables as written; None if there is none."""
    if value is None or value.data is None:
        return None
    if isinstance(value.data, list):
        return [item.raw or interpolate.escape(item.text) for item in value.list]
    # Compose splits a string like a shell.
    return shlex.split(value.raw or interpolate.escape(value.text))


def _escaped(words: tuple[str, ...]) -> list[str]:
    return [interpolate.escape(word) for word in words]
